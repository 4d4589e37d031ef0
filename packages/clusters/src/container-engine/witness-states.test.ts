import { newPlacementId } from "@baton/protocol";
import { afterEach, expect, it } from "vitest";
import { within } from "../deadline.ts";
import { type FakeAnswer, type FakeEngine, startFakeEngine } from "../fixtures/fake-engine.ts";
import { openEngine } from "./engine.ts";
import { labelsOf } from "./names.ts";
import { writeTar } from "./tar.ts";
import { witnessContainer } from "./witness-container.ts";

const placement = newPlacementId();
const never = "0001-01-01T00:00:00Z";
const [earlier, later] = ["2026-01-01T10:00:00.5Z", "2026-01-01T11:00:00.5Z"];
const running = { Status: "running", Running: true, StartedAt: earlier };

let fake: FakeEngine | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

/** What is seen of a container in this state, where the engine answers otherwise as `others` says. */
async function witness(state: object, others: (call: string) => FakeAnswer = () => ({ status: 404 })) {
  const State = {
    Status: "created",
    Running: false,
    Paused: false,
    ExitCode: 0,
    StartedAt: never,
    FinishedAt: never,
  };
  const body = {
    Id: "0123456789abcdef",
    Config: { Labels: labelsOf("quay", placement) },
    State: { ...State, ...state },
    HostConfig: {},
  };
  const engine = (fake = await startFakeEngine((call) =>
    call === `GET /v1.41/containers/baton-${placement}/json` ? { body } : others(call),
  ));
  const place = { name: "quay", engine: openEngine({ api: engine.api }) };
  return within(5_000, "look", (deadline) => witnessContainer(place, placement, deadline));
}

it.each([
  ["never ran", {}],
  ["ended", { Status: "exited", StartedAt: earlier, FinishedAt: later }],
  ["ended, as Podman says for a moment", { Status: "stopped", StartedAt: earlier, FinishedAt: later }],
  [
    "ended before its start was noted",
    { Status: "exited", StartedAt: later, FinishedAt: "2026-01-01T11:00:00Z" },
  ],
])("says terminated of a container that %s", async (_, state) => {
  expect(await witness(state)).toMatchObject({ state: "terminated", agentAlive: false, detail: null });
});

it.each([
  ["a reboot made new", { StartedAt: earlier }],
  ["a reboot made new, after an end before", { StartedAt: later, FinishedAt: earlier }],
  ["ended, but an earlier time", { Status: "exited", StartedAt: later, FinishedAt: earlier }],
  ["ended nobody knows when", { Status: "exited", StartedAt: earlier }],
  ["is of a state that we do not know", { Status: "removing", StartedAt: earlier, FinishedAt: later }],
  ["is paused", { ...running, Paused: true }],
])("knows nothing of a container that %s", async (_, state) => {
  const seen = await witness(state);
  expect(seen).toMatchObject({ state: "unknown", processes: [] });
  expect(seen.detail).not.toBeNull();
});

it("knows nothing of a container that looks new, whose agent has been there", async () => {
  const lock = writeTar([{ name: "lock", content: Buffer.from("{}"), mode: 0o600, uid: 0, gid: 0 }]);
  expect(await witness({}, () => ({ body: lock.toString("latin1") }))).toMatchObject({ state: "unknown" });
});

it.each([
  ["fails", { status: 500, body: { message: "no ps" } }],
  ["is empty", { body: { Processes: [] } }],
  ["is null", { body: { Processes: null } }],
  ["has the columns of another program", { body: { Processes: [["root", "1", "0", "sh"]] } }],
])("knows nothing from a list of processes that %s", async (_, answer) => {
  expect(await witness(running, () => answer)).toMatchObject({ state: "unknown", processes: [] });
});

it("is no witness where the engine does not answer, or not as one", async () => {
  for (const answer of [{ status: 500 }, { body: "<html>" }, { body: { Id: "0123456789abcdef" } }]) {
    const engine = (fake = await startFakeEngine(() => answer));
    const place = { name: "quay", engine: openEngine({ api: engine.api }) };
    const look = within(5_000, "look", (deadline) => witnessContainer(place, placement, deadline));
    await expect(look).rejects.toMatchObject({ code: "cluster-unavailable" });
    await engine.close();
    fake = undefined;
  }
});
