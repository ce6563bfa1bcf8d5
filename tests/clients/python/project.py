"""The methods of the client itself."""

import uuid

from asked import got, refused, status

NOBODY = "5f0c2f4e-6f0a-4c1e-9d53-0d2f6d4f8a11"


async def check(client, stranger):
    """Calls all methods of a client. `stranger` is one with a wrong token."""
    assert await got(client.ping()) is True
    # The health check asks for no token; everything else does.
    assert await got(stranger.ping()) is True
    with status(401):
        await got(stranger.add_user())

    await check_users(client)
    await check_get_config(client)
    await check_update_config(client)
    await check_get_usage(client)
    await check_get_all_users(client)
    await check_get_daily_usage(client)


async def check_users(client):
    user = await got(client.add_user(data={"name": "Marta"}))
    assert uuid.UUID(user).version in (4, 5)
    own = str(uuid.uuid5(uuid.NAMESPACE_DNS, str(uuid.uuid4())))
    assert await got(client.add_user(id=own)) == own
    with refused("exists"):
        await got(client.add_user(id=own))

    found = await got(client.get_user(user))
    assert (found.user_id, found.fields["data"]) == (user, {"name": "Marta"})
    assert await got(client.update_user(user, {"name": "Marta", "city": "Bergen"})) == user
    found = await got(client.get_user(user))
    # The client sends {"data": …}, and the whole body becomes the data.
    assert found.fields["data"] == {"data": {"name": "Marta", "city": "Bergen"}}

    assert (await got(client.get_user(NOBODY, no_get=True))).fields is None
    with refused(NOBODY):
        await got(client.get_user(NOBODY))
    assert (await got(client.get_or_create_user(user))).fields["data"]["data"]["city"] == "Bergen"
    new = str(uuid.uuid4())
    assert (await got(client.get_or_create_user(new))).user_id == new
    assert (await got(client.get_user(new))).fields["data"] is None

    assert await got(client.delete_user(new)) is True
    with refused(new):
        await got(client.get_user(new))
    with refused():
        await got(client.delete_user(new))


async def check_get_config(client):
    assert await got(client.get_config()) == ""


async def check_update_config(client):
    config = "language: en\n"
    assert await got(client.update_config(config)) is True
    assert await got(client.get_config()) == config
    with refused():
        await got(client.update_config("event_tags: [1,\n"))
    assert await got(client.get_config()) == config
    # None goes back to the configuration of the server.
    assert await got(client.update_config(None)) is True
    assert await got(client.get_config()) == ""


async def check_get_usage(client):
    usage = await got(client.get_usage())
    assert usage.keys() == {"token_left", "next_refill_at", "project_token_cost_month"}, usage


async def check_get_all_users(client):
    users = {await got(client.add_user()) for _ in range(3)}
    newest = await got(client.get_all_users(limit=3))
    assert {user["id"] for user in newest} == users
    assert all(user["profile_count"] == 0 and user["event_count"] == 0 for user in newest)
    second = await got(client.get_all_users(limit=1, offset=1))
    assert [user["id"] for user in second] == [newest[1]["id"]]
    oldest = await got(client.get_all_users(order_desc=False, limit=1))
    assert oldest[0]["id"] not in users
    assert await got(client.get_all_users(search="nobody is called like this")) == []
    assert len(await got(client.get_all_users(order_by="profile_count", limit=2))) == 2


async def check_get_daily_usage(client):
    days = await got(client.get_daily_usage(days=3))
    assert isinstance(days, list) and len(days) <= 4, days
    assert all({"date", "total_insert", "total_input_token"} <= day.keys() for day in days), days

