import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { application, openHarbour } from "@baton/example-ledger/demo";
import type { Harbour } from "@baton/example-ledger/demo";
import type { ApplicationManifest, Operation, OperationRequest, StorageManifest } from "@baton/protocol";
import { type Annex, openAnnex } from "./annex.ts";
import { type Ended, runCli } from "./run-cli.ts";
import { type Answer, type Call, send } from "./send.ts";

export { application as ledger } from "@baton/example-ledger/demo";
const operationMs = 60_000;
/** To start, or to end, everything. */
export const startMs = 90_000;

/** Before a command: it takes two seconds more to stop, whatever signal comes. */
export const slowly = ["/bin/sh", "-c", 'trap "" TERM; "$0" "$@"; status=$?; sleep 2; exit $status'];

/** The harbour with its ledger serving on harbor-a, and beside it a second store for everything that goes wrong. */
export interface Stage {
  readonly harbour: Harbour;
  readonly annex: Annex;
  /** One raw request; with the admin token unless `token` says another one, or null for none. */
  readonly api: (
    method: string,
    path: string,
    options?: Partial<Pick<Call, "body" | "token">>,
  ) => Promise<Answer>;
  /** One command line in a process of its own. */
  readonly baton: (args: readonly string[], input?: string) => Promise<Ended>;
  /** Starts an operation and waits for its end. */
  readonly run: (request: OperationRequest) => Promise<Operation>;
  readonly ended: (operation: Operation) => Promise<Operation>;
  /** Applies the ledger under another name, below a prefix of the annex, with words before its command. */
  readonly declare: (name: string, words: readonly string[]) => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function openStage(): Promise<Stage> {
  const annex = await openAnnex();
  const harbour = await openHarbour().catch(async (error: unknown) => {
    await annex.close();
    throw error;
  });
  const state = join(harbour.directory, "orchestrator");
  const [url, adminToken] = await Promise.all(
    ["url", "admin-token"].map(async (file) => (await readFile(join(state, file), "utf8")).trim()),
  );
  const { client } = harbour;

  const stage: Stage = {
    harbour,
    annex,
    api: (method, path, { body, token = adminToken ?? null } = {}) =>
      send(new URL(path, url), { method, token, body }),
    baton: (args, input) => runCli(args, { stateDirectory: state, input }),
    run: async (request) => stage.ended(await client.startOperation(request)),
    async ended(operation) {
      let last = operation;
      for await (last of client.watchOperation(operation.id, AbortSignal.timeout(operationMs)));
      return last;
    },
    async declare(name, words) {
      const { items } = JSON.parse((await stage.api("GET", "/v1/applications")).text) as {
        readonly items: readonly ApplicationManifest[];
      };
      const own = items.find((item) => item.name === application);
      if (own === undefined) throw new Error("the harbour has no ledger");
      const storage: StorageManifest = { ...annex.storage, name, prefix: `${name}/` };
      const manifest: ApplicationManifest = {
        ...own,
        name,
        storage: name,
        workload: { ...own.workload, command: [...words, ...own.workload.command] },
      };
      await client.apply(storage);
      await client.apply(manifest);
    },
    async close() {
      // The applications write to the annex while they stop.
      await harbour.close();
      await annex.close();
    },
  };
  try {
    const { state: outcome, reason } = await stage.run({ kind: "deploy", application, to: "harbor-a" });
    if (outcome !== "committed") throw new Error(`cannot deploy the ledger: ${String(reason)}`);
    return stage;
  } catch (error) {
    await stage.close();
    throw error;
  }
}
