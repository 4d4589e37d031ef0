import { AppError } from "@baton/protocol";
import { type Deadline, pollUntil } from "../deadline.ts";
import { stateDirectory } from "./agent-files.ts";
import { type FoundContainer, type Place, ensureVolume, findContainer } from "./containers.ts";
import { namesOf } from "./names.ts";
import { readLog } from "./read-log.ts";
import { writeTar } from "./tar.ts";
import { witnessContainer } from "./witness-container.ts";

const loggedLines = "10000";

/**
 * Ends the agent and removes the container. The volume stays with the state, the receipts and the agent's log, but the private key in it is gone; an empty
 * volume remembers that the placement was here.
 *
 * @throws AppError `wrong-state` while a process of the application lives or that is not known
 */
export async function removeContainer(place: Place, placement: string, deadline: Deadline): Promise<void> {
  const { signal } = deadline;
  const names = namesOf(placement);
  deadline.begin("looking at its container");
  const container = await findContainer(place, placement, signal);
  if (container === null) return;
  await assertTerminated(place, placement, deadline);
  deadline.begin("ending its agent");
  await stop(place, container, deadline);
  // The agent may have started something between the first look and its end.
  await assertTerminated(place, placement, deadline);
  deadline.begin("setting its state aside");
  await ensureVolume(place, placement, names.removed, signal);
  await setAside(place, container, signal);
  deadline.begin("removing its container");
  await place.engine.call({
    method: "DELETE",
    path: `/containers/${container.id}`,
    query: { v: "false", force: "false" },
    what: `remove the container of ${placement} from ${place.name}`,
    signal,
    // Another driver removes it too: gone, or just going.
    expect: [404, 409, 500],
  });
  await pollUntil(signal, async () =>
    (await findContainer(place, placement, signal)) === null ? true : undefined,
  );
}

async function assertTerminated(place: Place, placement: string, deadline: Deadline): Promise<void> {
  const { state, processes, detail } = await witnessContainer(place, placement, deadline);
  if (state === "terminated") return;
  const pids = processes.map(({ pid }) => pid).join(", ");
  const why =
    state === "running" ? `its application lives (process ${pids})` : `it is unknown what runs (${detail})`;
  throw new AppError(
    "wrong-state",
    `cannot remove placement ${placement}: ${why}; stop the application first`,
  );
}

/** SIGTERM, and SIGKILL after half of the time, ten seconds at most. */
async function stop(
  { engine, name }: Place,
  { id, state }: FoundContainer,
  deadline: Deadline,
): Promise<void> {
  if (!state.isRunning) return;
  const graceSeconds = Math.max(1, Math.floor(Math.min(10_000, deadline.remainingMs() / 2) / 1_000));
  await engine.call({
    method: "POST",
    path: `/containers/${id}/stop`,
    query: { t: String(graceSeconds) },
    what: `stop container ${id.slice(0, 12)} on ${name}`,
    signal: deadline.signal,
    expect: [304],
  });
}

async function setAside(place: Place, { id }: FoundContainer, signal: AbortSignal): Promise<void> {
  const log = Buffer.from(await readLog(place, id, loggedLines, signal));
  const file = { mode: 0o600, uid: 0, gid: 0 };
  // The private key can sign no further receipts.
  const archive = writeTar([
    { name: "key.json", content: Buffer.alloc(0), ...file },
    { name: "agent.log", content: log, ...file },
  ]);
  const what = `set aside the state in container ${id.slice(0, 12)} on ${place.name}`;
  const query = { path: stateDirectory };
  await place.engine.call({ method: "PUT", path: `/containers/${id}/archive`, query, archive, what, signal });
}
