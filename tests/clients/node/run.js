// Calls every public method of the Node client `@memobase/memobase` against a running server, and checks what it
// returns. The server is at POWERMEMO_URL, takes POWERMEMO_TOKEN, and has the mock model for its language model.
"use strict";

const assert = require("node:assert/strict");
const { randomUUID } = require("node:crypto");
const { MemoBaseClient, User } = require("@memobase/memobase");

const URL = process.env.POWERMEMO_URL;
const TOKEN = process.env.POWERMEMO_TOKEN;

const NOBODY = "5f0c2f4e-6f0a-4c1e-9d53-0d2f6d4f8a11";

// What the mock model makes slots of.
const CHAT = [
  { role: "user", content: "I am a nurse. FACT work/title=nurse FACT basic_info/city=Bergen", alias: "Marta" },
  { role: "assistant", content: "How do you like the rain?", created_at: "8 May, 2023" },
  { role: "user", content: "I adopted a dog! FACT interest/pet=a dog called Ole" },
];

// How often each public method came back without an error.
const seen = new Map();

function watch(kind) {
  for (const name of Object.getOwnPropertyNames(kind.prototype)) {
    if (name === "constructor") continue;
    const method = kind.prototype[name];
    const fullName = `${kind.name}.${name}`;
    seen.set(fullName, 0);
    kind.prototype[name] = async function (...args) {
      const result = await method.apply(this, args);
      seen.set(fullName, seen.get(fullName) + 1);
      return result;
    };
  }
}

async function checkProject(client) {
  assert.equal(await client.ping(), true);
  const stranger = new MemoBaseClient(URL, "wrong");
  assert.equal(await stranger.ping(), true);
  await assert.rejects(stranger.addUser(), /status: 401/);
  assert.equal((await client.fetch("/healthcheck")).errno, 0);

  const user = await client.addUser({ name: "Marta" });
  const own = randomUUID();
  assert.equal(await client.addUser(undefined, own), own);
  await assert.rejects(client.addUser(undefined, own), /exists/);
  assert.deepEqual((await client.getUser(user)).fields.data, { name: "Marta" });
  assert.equal(await client.updateUser(user, { name: "Marta", city: "Bergen" }), user);
  assert.deepEqual((await client.getUser(user)).fields.data, { data: { name: "Marta", city: "Bergen" } });
  assert.equal((await client.getUser(NOBODY, true)).fields, undefined);
  await assert.rejects(client.getUser(NOBODY), new RegExp(NOBODY));
  assert.equal((await client.getOrCreateUser(user)).fields.data.data.city, "Bergen");
  const made = randomUUID();
  assert.equal((await client.getOrCreateUser(made)).userId, made);
  assert.equal((await client.getUser(made)).fields.data, null);
  assert.equal(await client.deleteUser(made), true);
  // The client makes false of any refusal.
  assert.equal(await client.deleteUser(made), false);
}

async function checkConfig(client) {
  assert.equal(await client.getConfig(), "");
  // The client makes false of any refusal.
  assert.equal(await client.updateConfig("language: en\n"), true);
  assert.equal(await client.getConfig(), "language: en\n");
  assert.equal(await client.updateConfig("event_tags: [1,\n"), false);
  assert.equal(await client.updateConfig(null), true);
}

async function checkUsersAndUsage(client) {
  const made = await client.addUser();
  const { users, count } = await client.getUsers("", "updated_at", true, 1, 0);
  assert.deepEqual([users.map((user) => user.id), count > 1], [[made], true]);
  assert.deepEqual((await client.getUsers("nobody is called like this")).users, []);
  const days = await client.getUsage(3);
  assert.equal(days.length, 3);
  for (const day of days) assert.equal(typeof day.total_insert, "number");
}

async function checkBlobs(user) {
  const first = await user.insert({ type: "chat", messages: CHAT, fields: { room: 7 } });
  const second = await user.insert({ type: "chat", messages: [{ role: "user", content: "Forget this." }] });
  const blob = await user.get(first);
  assert.deepEqual([blob.blob_type, blob.fields], ["chat", { room: 7 }]);
  assert.deepEqual(blob.blob_data.messages.map((message) => message.content), CHAT.map((message) => message.content));
  assert.deepEqual(await user.getAll("chat"), [second, first]);
  assert.deepEqual(await user.getAll("chat", 1, 1), [first]);
  assert.equal(await user.delete(second), true);
  await assert.rejects(user.get(second), new RegExp(second));
  assert.equal(await user.flush("chat", true), true);
  assert.deepEqual(await user.getAll("chat"), []);
  assert.equal(await user.flush(), true);

  const stamps = [{ content: "Hello?", start_timestamp_in_seconds: 0.5, end_time_timestamp_in_seconds: 2 }];
  for (const other of [
    { type: "doc", content: "A letter to the landlord." },
    { type: "code", content: "fn main() {}" },
    { type: "transcript", transcripts: stamps },
  ]) {
    const id = await user.insert(other, true);
    assert.deepEqual(await user.getAll(other.type), [id]);
    assert.equal(await user.flush(other.type, true), true);
    if (other.type === "transcript") {
      assert.deepEqual((await user.get(id)).blob_data.transcripts, [{ ...stamps[0], speaker: null }]);
    }
  }
  await assert.rejects(user.insert({ type: "image", url: "https://example.org/a.png" }), /image/);
}

async function checkProfile(user) {
  const memos = async (...args) => (await user.profile(...args)).map((slot) => `${slot.topic}/${slot.sub_topic}`);
  assert.deepEqual((await memos()).sort(), ["basic_info/city", "interest/pet", "work/title"]);
  const slot = await user.addProfile("hiking", "interest", "sport");
  assert.equal(await user.updateProfile(slot, "skiing", "interest", "winter sport"), true);
  const [newest] = await user.profile();
  assert.deepEqual([newest.id, newest.content, newest.sub_topic], [slot, "skiing", "winter sport"]);
  assert.ok(newest.updated_at >= newest.created_at);
  assert.deepEqual(await memos(1000, [], ["interest"]), ["interest/winter sport", "interest/pet"]);
  assert.equal((await memos(1000, ["work"]))[0], "work/title");
  // The client sends the limits of topics under a name that no server knows.
  assert.deepEqual(await memos(1000, [], ["interest"], 1, { interest: 0 }), ["interest/winter sport"]);
  assert.deepEqual(await memos(1), ["interest/winter sport"]);
  assert.equal(await user.deleteProfile(slot), true);
  await assert.rejects(user.deleteProfile(slot), new RegExp(slot));
}

async function checkEvents(user) {
  await user.insert({ type: "chat", messages: [{ role: "user", content: "I bought a sailing boat in Oslo." }] });
  await user.flush("chat", true);
  const events = await user.event();
  const [newest] = events;
  assert.ok(events.length >= 2 && newest.event_data.event_tip.includes("sailing boat"));
  assert.deepEqual((await user.event(1)).map((event) => event.id), [newest.id]);
  assert.deepEqual(await user.event(10, 0), []);
  assert.deepEqual((await user.searchEvent("sailing boat", 1, 0.1, 2)).map((event) => event.id), [newest.id]);
  assert.deepEqual(await user.searchEvent("zeppelin"), []);
  // The client reads `events`; the gists stand under `gists`, as they always have.
  assert.deepEqual(await user.searchEventGist("sailing boat", 5, 0.1, 2), []);
  const { data } = await user.projectClient.fetch(`/users/event_gist/search/${user.userId}?query=sailing`);
  assert.ok(data.gists[0].gist_data.content.startsWith("- I bought a sailing boat"));

  const change = { event_tip: "- Bought a kayak.", event_tags: [{ tag: "mood", value: "happy" }] };
  assert.equal(await user.updateEvent(newest.id, change), true);
  assert.deepEqual((await user.event(1))[0].event_data.event_tags, change.event_tags);
  assert.equal(await user.deleteEvent(newest.id), true);
  assert.equal((await user.event()).length, events.length - 1);
  await assert.rejects(user.deleteEvent(newest.id), new RegExp(newest.id));
}

async function checkContext(user) {
  const context = await user.context();
  assert.ok(context.includes("- work::title: nurse") && context.includes("I adopted a dog!"), context);
  const chats = [{ role: "user", content: "Tell me of the dog" }];
  const narrow = await user.context(500, 1, ["work"], ["work"], { work: 1 }, 0.8, true, chats, 0.1, undefined, true, true);
  assert.ok(narrow.includes("nurse") && narrow.includes("Ole") && !narrow.includes("interest::pet"), narrow);
  const own = await user.context(500, undefined, [], [], undefined, 0.5, false, [], 0.2, "P {profile_section} E {event_section}");
  assert.ok(own.startsWith("P ") && own.includes(" E ") && own.includes("nurse"), own);
  const relevant = await user.context(500, undefined, [], [], undefined, undefined, undefined, chats, undefined, undefined, false);
  assert.ok(relevant.includes("interest::pet") && !relevant.includes("work::title"), relevant);
}

async function main() {
  watch(MemoBaseClient);
  watch(User);
  const client = new MemoBaseClient(URL, TOKEN);
  await checkProject(client);
  await checkConfig(client);
  await checkUsersAndUsage(client);
  const user = await client.getUser(await client.addUser());
  await checkBlobs(user);
  await checkProfile(user);
  await checkEvents(user);
  await checkContext(user);
  const forgotten = [...seen].filter(([name, count]) => count === 0);
  assert.deepEqual(forgotten, [], "public methods that are not tested");
  console.log(`${seen.size} methods do what they should`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
