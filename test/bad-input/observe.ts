import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { readCommitLog, readCommittedBody } from "@baton/dev-store";
import { bucket, prefix } from "@baton/example-ledger/demo";
import { type AgentStatus, type Route, newNonce, parseAs } from "@baton/protocol";
import { type Lease, leaseKey, leaseSchema } from "@baton/storage";
import { afterEach, beforeEach, expect, vi } from "vitest";
import { agentStatus, placementState } from "./agent-call.ts";
import { type Stage, ledger as application } from "./stage.ts";

const clusterNames = ["harbor-a", "harbor-b"] as const;

/** Everything that a refused request could have changed, as far as it can be seen from outside. */
interface Observation {
  readonly records: readonly unknown[];
  readonly placements: readonly (readonly string[])[];
  readonly ledger: {
    readonly route: Route;
    readonly status: AgentStatus;
    /** What its agent did: executions, signals, receipts. */
    readonly effects: string;
    readonly lease: LeaseFacts;
  };
  /** How many writes the store had taken. */
  readonly commits: number;
}

/** A lease without what every renewal changes. */
type LeaseFacts = Omit<Lease, "version" | "prefix" | "nonce" | "history" | "at">;

/** Registers for every test of the suite around: afterwards all is as it was before, and the ledger still takes entries. */
export function expectNothingChanges(at: () => Stage): void {
  register(at, ({ commits: _commits, ...rest }) => rest);
}

/** The same for the ledger alone, where other applications are moved. */
export function expectLedgerUntouched(at: () => Stage): void {
  register(at, ({ ledger }) => ledger);
}

function register(at: () => Stage, select: (observation: Observation) => object): void {
  let before: Observation;
  beforeEach(async () => {
    before = await observe(at());
  });
  afterEach(async () => {
    expect(select(await observe(at()))).toEqual(select(before));
    await expectOneWriter(at(), before);
    await addEntry(before.ledger.route.url);
  });
}

/** Adds an entry by the application's own address. @returns its id, acknowledged. */
export async function addEntry(url: string | null): Promise<string> {
  const id = newNonce();
  const answer = await fetch(`${String(url)}/entries`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id, payload: "as always" }),
  });
  expect({ status: answer.status, text: await answer.text() }).toMatchObject({ status: 201 });
  return id;
}

/** Fails for every acknowledged entry that the application does not have. */
export async function expectEntries(url: string | null, ids: readonly string[]): Promise<void> {
  const lost: string[] = [];
  for (const id of ids) {
    const answer = await fetch(`${String(url)}/entries/${id}`);
    await answer.text();
    if (answer.status !== 200) lost.push(id);
  }
  expect(lost).toEqual([]);
}

/** Ids of the placements that are in service on each cluster; none is half made or half removed. */
export function listPlacements({ harbour }: Stage): Promise<string[][]> {
  return Promise.all(
    clusterNames.map(async (name) => {
      const names = await readdir(join(harbour.directory, name, "placements")).catch((): string[] => []);
      return names.sort();
    }),
  );
}

async function observe(stage: Stage): Promise<Observation> {
  const { harbour } = stage;
  const [route, records, placements, commits] = await Promise.all([
    harbour.client.route(application),
    Promise.all(
      ["clusters", "applications", "operations"].map(async (name): Promise<unknown> =>
        JSON.parse((await stage.api("GET", `/v1/${name}`)).text),
      ),
    ),
    listPlacements(stage),
    readCommitLog(harbour.storeDirectory),
  ]);
  const status = await agentStatus(stage, route);
  const effects = await readFile(join(placementState(stage, route), "effects.jsonl"), "utf8");
  const [lease] = (await leasesSince(harbour.storeDirectory, 0)).slice(-1);
  if (lease === undefined) throw new Error("the ledger has no lease");
  return { records, placements, ledger: { route, status, effects, lease }, commits: commits.length };
}

/** Since `before` the lease was renewed at most, probes took away their scratch keys, and only the key of the ledger's cluster wrote data. */
async function expectOneWriter({ harbour }: Stage, before: Observation): Promise<void> {
  const { storeDirectory, keys } = harbour;
  for (const lease of await leasesSince(storeDirectory, before.commits))
    expect(lease).toEqual(before.ledger.lease);
  const written = (await readCommitLog(storeDirectory)).slice(before.commits);
  const strange = written.filter(
    ({ key, accessKeyId }) =>
      key !== leaseKey(prefix) &&
      !isProbe(key) &&
      !(key.startsWith(prefix) && accessKeyId === keys["harbor-a"].accessKeyId),
  );
  expect(strange).toEqual([]);
  // One that is due may be trying just now.
  await vi.waitFor(
    async () => expectScratchRemoved((await readCommitLog(storeDirectory)).slice(before.commits)),
    {
      timeout: 60_000,
      interval: 100,
    },
  );
}

const isProbe = (key: string): boolean => key.startsWith(".baton/probe/") || /\/\.baton-probe-\w+$/.test(key);

/** The last write to every scratch key of a probe is its removal. */
export function expectScratchRemoved(
  log: readonly { readonly key: string; readonly operation: "put" | "delete" }[],
): void {
  const last = new Map(log.map(({ key, operation }) => [key, operation]));
  expect([...last].filter(([key, operation]) => isProbe(key) && operation === "put")).toEqual([]);
}

async function leasesSince(directory: string, commits: number): Promise<LeaseFacts[]> {
  const log = await readCommitLog(directory);
  const writes = log
    .slice(commits)
    .filter(({ key, bucket: name }) => name === bucket && key === leaseKey(prefix));
  return Promise.all(
    (commits === 0 ? writes.slice(-1) : writes).map(async (entry) => {
      const body = Buffer.from(await readCommittedBody(directory, entry)).toString("utf8");
      const {
        owner,
        application: name,
        holder,
        epoch,
        state,
        run,
        grant,
        operation,
      } = parseAs(leaseSchema, JSON.parse(body), "the lease");
      return { owner, application: name, holder, epoch, state, run, grant, operation };
    }),
  );
}
