"""`openai_memory`: a client of OpenAI that remembers."""

import threading
import time

from memobase.patch.openai import openai_memory
from memobase.utils import string_to_uuid
from openai import OpenAI

PATIENCE_SECONDS = 30


def check(memobase, model_url):
    plain = OpenAI(base_url=model_url, api_key="none", max_retries=0)
    sent = []
    complete = plain.chat.completions.create

    def record(**request):
        sent.append(request["messages"])
        return complete(**request)

    plain.chat.completions.create = record
    client = openai_memory(plain, memobase, max_context_size=500)
    assert openai_memory(client, memobase) is client

    name = f"wrapped {time.time_ns()}"
    first = say(client, "I live in Bergen. FACT basic_info/city=Bergen", name)
    assert first.choices[0].message.role == "assistant"
    # The first call tells of nobody yet; the chat is inserted by a thread of the wrapper.
    assert "Bergen" not in str(sent[0][:-1]), sent
    user = memobase.get_user(string_to_uuid(name), no_get=True)
    finish_threads()
    assert len(user.buffer("chat")) == 1
    assert client.flush(name) is True
    until(lambda: client.get_profile(name), "the profile of the wrapped client")
    assert [slot.content for slot in client.get_profile(name)] == ["Bergen"]
    assert "- basic_info::city: Bergen" in client.get_memory_prompt(name)

    say(client, "Where do I live?", name)
    assert sent[1][0]["role"] == "system" and "basic_info::city: Bergen" in sent[1][0]["content"], sent
    finish_threads()
    [waiting] = user.buffer("chat")
    assert user.get(waiting).messages[0].content == "Where do I live?"

    chunks = list(say(client, "And in pieces?", name, stream=True))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert len(chunks) > 2 and "basic_info::city: Bergen" in sent[2][0]["content"], chunks
    finish_threads()
    [_, waiting] = user.buffer("chat")
    assert [message.content for message in user.get(waiting).messages] == ["And in pieces?", streamed]
    # Without a user nothing is remembered.
    say(client, "Who am I?", None)
    finish_threads()
    assert len(user.buffer("chat")) == 2 and len(sent[3]) == 1, sent[3]


def say(client, text, name, **more):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="any", messages=messages, user_id=name, **more)


def finish_threads():
    """Waits for the inserts that the wrapper has begun."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(PATIENCE_SECONDS)


def until(condition, what):
    """Waits until something is there. A flush that nobody waits for takes a while."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.05)
