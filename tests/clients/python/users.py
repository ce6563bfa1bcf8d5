"""The methods of a user: blobs, buffers, the profile, events, the context."""

from datetime import datetime, timezone

from memobase import ChatBlob, SummaryBlob
from memobase.core.blob import BlobType, CodeBlob, DocBlob, ImageBlob, TranscriptBlob

from asked import got, refused

# What the mock model makes slots of.
CHAT = [
    {"role": "user", "content": "I am a nurse in Bergen. FACT work/title=nurse FACT basic_info/city=Bergen", "alias": "Marta"},
    {"role": "assistant", "content": "How do you like the rain?", "created_at": "8 May, 2023"},
    {"role": "user", "content": "I adopted a dog! FACT interest/pet=a dog called Ole & co"},
]


async def check(client):
    user = await got(client.get_user(await got(client.add_user())))
    await check_blobs(user)
    await check_flush(user)
    await check_profile(user)
    await check_events(user)
    await check_context(user)
    await check_other_blobs(user)


async def check_blobs(user):
    first = await got(user.insert(ChatBlob(messages=CHAT, fields={"room": 7})))
    second = await got(user.insert(ChatBlob(messages=[{"role": "user", "content": "Forget this."}])))
    assert await got(user.buffer(BlobType.chat)) == [first, second]
    assert await got(user.buffer(BlobType.chat, status="processing")) == []

    blob = await got(user.get(first))
    assert isinstance(blob, ChatBlob) and blob.fields == {"room": 7}
    assert [message.model_dump(exclude_none=True) for message in blob.messages] == CHAT
    assert abs((datetime.now(timezone.utc) - blob.created_at).total_seconds()) < 60

    # Newest first.
    assert await got(user.get_all(BlobType.chat)) == [second, first]
    assert await got(user.get_all(BlobType.chat, page=1, page_size=1)) == [first]
    assert await got(user.delete(second)) is True
    assert await got(user.get_all(BlobType.chat)) == [first]
    with refused(second):
        await got(user.get(second))


async def check_flush(user):
    assert await got(user.flush(sync=True)) is True
    assert await got(user.buffer(BlobType.chat)) == []
    # A processed chat is gone.
    assert await got(user.get_all(BlobType.chat)) == []
    # Nothing is left to be done.
    assert await got(user.flush(BlobType.chat)) is True


async def check_profile(user):
    slots = await got(user.profile())
    memos = {(slot.topic, slot.sub_topic): slot.content for slot in slots}
    assert memos == {
        ("work", "title"): "nurse",
        ("basic_info", "city"): "Bergen",
        ("interest", "pet"): "a dog called Ole & co",
    }, memos
    assert all(slot.created_at <= slot.updated_at for slot in slots)

    slot = await got(user.add_profile("hiking", "interest", "sport"))
    newest = (await got(user.profile()))[0]
    assert (str(newest.id), newest.describe) == (slot, "interest: sport - hiking")
    assert await got(user.update_profile(slot, "skiing", "interest", "winter sport")) is True

    async def chosen(**parameters):
        return [slot.sub_topic for slot in await got(user.profile(**parameters))]

    assert await chosen(only_topics=["interest"]) == ["winter sport", "pet"]
    assert (await chosen(prefer_topics=["work", "basic_info"]))[:2] == ["title", "city"]
    assert await chosen(only_topics=["interest"], max_subtopic_size=1) == ["winter sport"]
    assert await chosen(only_topics=["interest", "work"], topic_limits={"interest": 0}) == ["title"]
    assert await chosen(max_token_size=1) == ["winter sport"]
    assert await chosen(chats=[{"role": "user", "content": "Shall we take the dog?"}]) == ["pet"]
    by_topic = await got(user.profile(need_json=True))
    assert by_topic["interest"]["winter sport"]["content"] == "skiing", by_topic

    assert await got(user.delete_profile(slot)) is True
    assert "winter sport" not in await chosen()
    with refused(slot):
        await got(user.delete_profile(slot))
    with refused(slot):
        await got(user.update_profile(slot, "x", "y", "z"))


async def check_events(user):
    await got(user.insert(ChatBlob(messages=[{"role": "user", "content": "I bought a sailing boat in Oslo."}])))
    await got(user.flush(sync=True))
    newest, oldest = await got(user.event())
    assert "sailing boat" in newest.event_data.event_tip
    assert {delta.content for delta in oldest.event_data.profile_delta} >= {"nurse", "Bergen"}
    assert [event.id for event in await got(user.event(topk=1))] == [newest.id]
    assert await got(user.event(max_token_size=0)) == []
    assert len(await got(user.event(need_summary=True))) == 2

    found = await got(user.search_event("sailing boat", topk=1, similarity_threshold=0.1, time_range_in_days=2))
    assert [event.id for event in found] == [newest.id] and 0 < found[0].similarity <= 1
    gists = await got(user.search_event_gist("sailing boat", topk=5, similarity_threshold=0.1, time_range_in_days=2))
    assert gists[0].gist_data.content.startswith("- I bought a sailing boat in Oslo."), gists
    assert await got(user.search_event("zeppelin")) == []
    assert await got(user.search_event_gist("zeppelin")) == []

    change = {"event_tip": "- Bought a kayak.", "event_tags": [{"tag": "mood", "value": "happy"}], "profile_delta": []}
    assert await got(user.update_event(str(newest.id), change)) is True
    changed = (await got(user.event()))[0]
    assert (changed.event_data.event_tip, changed.event_data.event_tags[0].value) == ("- Bought a kayak.", "happy")
    assert [event.id for event in await got(user.search_event("kayak"))] == [newest.id]
    # The async client has no search by tags.
    if hasattr(user, "search_event_by_tags"):
        assert [event.id for event in await got(user.search_event_by_tags(tags=["mood"]))] == [newest.id]
        by_value = await got(user.search_event_by_tags(tags=["mood"], tag_values={"mood": "happy"}, topk=5))
        assert [event.id for event in by_value] == [newest.id]
        assert await got(user.search_event_by_tags(tag_values={"mood": "sad"})) == []

    assert await got(user.delete_event(str(newest.id))) is True
    assert [event.id for event in await got(user.event())] == [oldest.id]
    with refused(str(newest.id)):
        await got(user.delete_event(str(newest.id)))
    with refused(str(newest.id)):
        await got(user.update_event(str(newest.id), change))


async def check_context(user):
    context = await got(user.context())
    assert "- work::title: nurse" in context and "I adopted a dog!" in context, context
    narrow = await got(
        user.context(
            max_token_size=500,
            prefer_topics=["work"],
            only_topics=["work", "interest"],
            max_subtopic_size=1,
            topic_limits={"interest": 0},
            profile_event_ratio=0.8,
            require_event_summary=True,
            chats=[{"role": "user", "content": "Tell me of the dog"}],
            event_similarity_threshold=0.1,
            time_range_in_days=30,
            full_profile_and_only_search_event=True,
            fill_window_with_events=True,
        )
    )
    assert "nurse" in narrow and "Bergen" in narrow and "Ole" in narrow, narrow
    assert "interest::pet" not in narrow and "basic_info::city" not in narrow, narrow
    own = await got(user.context(customize_context_prompt="PROFILE {profile_section} EVENTS {event_section} & {x}"))
    assert own.startswith("PROFILE ") and "nurse" in own and own.endswith("& {x}"), own
    # With the slots chosen by the chat as well.
    relevant = await got(
        user.context(chats=[{"role": "user", "content": "any dog?"}], full_profile_and_only_search_event=False)
    )
    assert "interest::pet" in relevant and "work::title" not in relevant, relevant
    assert len(await got(user.context(max_token_size=60))) < len(context)


async def check_other_blobs(user):
    for blob in [DocBlob(content="A letter to the landlord."), SummaryBlob(summary="Marta looks for a flat.")]:
        id = await got(user.insert(blob))
        kept = await got(user.get(id))
        assert kept.get_blob_data() == blob.get_blob_data()
        assert await got(user.flush(blob.type, sync=True)) is True
        assert await got(user.buffer(blob.type)) == []
        assert await got(user.get_all(blob.type)) == [id]
    stamps = [{"content": "Hello?", "start_timestamp_in_seconds": 0.5, "end_time_timestamp_in_seconds": 2}]
    # The client cannot read these back.
    for blob in [CodeBlob(content="fn main() {}"), TranscriptBlob(transcripts=stamps)]:
        id = await got(user.insert(blob, sync=True))
        assert await got(user.get_all(blob.type)) == [id]
    with refused("image"):
        await got(user.insert(ImageBlob(url="https://example.org/a.png")))
