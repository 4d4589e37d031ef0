/** A delivered agent that is held until a start command, with its lease in a real store. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startDevStore } from "@baton/dev-store";
import {
  bodySha256,
  createKeyPair,
  newNonce,
  newOperationId,
  newPlacementId,
  signCommand,
} from "@baton/protocol";
import { changeLease, openObjectStore } from "@baton/storage";
import { type Started, end, freePort, now, settled, start } from "./agent-bundle.ts";

const accessKey = { accessKeyId: "control", secretAccessKey: "control-secret" };
const owner = "bench";
const region = "us-east-1";
const bucket = "data";
const renewMs = 5_000;
const deadlineMs = 15_000;

export interface LeasedAgent {
  readonly agent: Started;
  readonly port: number;
  readonly stateDirectory: string;
  /** Sends the start command; gives the moment of its acceptance, in epoch ms. */
  release(): Promise<number>;
  /** How long a change of a lease takes in this store: the same calls that the agent makes for its start. In ms. */
  takeMs(): Promise<number>;
  close(): Promise<void>;
}

/** The agent is there, held, and has loaded everything. */
export async function openLeasedPlace(
  { bundle, directory }: { readonly bundle: string; readonly directory: string },
  command: readonly string[],
): Promise<LeasedAgent> {
  const home = await mkdtemp(join(directory, "leased-"));
  const devStore = await startDevStore({
    directory: join(home, "store"),
    keys: { buckets: [bucket], keys: [{ ...accessKey, allow: [{ bucket, prefix: "", write: true }] }] },
  });
  const store = openObjectStore({ endpoint: devStore.endpoint, region, bucket, accessKey });
  const { publicKey, privateKey } = await createKeyPair();
  const placement = newPlacementId();
  const port = await freePort();
  const stateDirectory = join(home, "state");
  const control = join(home, "control.json");
  const configFile = join(home, "agent.json");
  const grantLease = async (prefix: string): Promise<{ grant: string; operation: string; epoch: number }> => {
    const grant = newNonce();
    const operation = newOperationId();
    const change = {
      kind: "create",
      application: "bench",
      prefix,
      owner,
      holder: placement,
      grant,
      operation,
    } as const;
    const { lease } = await changeLease({ store, prefix, change, deadlineMs });
    return { grant, operation, epoch: lease.epoch };
  };
  await writeFile(control, JSON.stringify(accessKey), { mode: 0o600 });
  await writeFile(
    configFile,
    JSON.stringify({
      version: 1,
      placement,
      application: "bench",
      stateDirectory,
      listen: { host: "127.0.0.1", port },
      commandKey: publicKey,
      storage: {
        endpoint: devStore.endpoint,
        region,
        bucket,
        prefix: "bench/",
        owner,
        control: { file: control },
        renewMs,
      },
      workload: { command },
    }),
  );
  const agent = start([process.execPath, bundle, "run", "--config", configFile]);
  const close = async (): Promise<void> => {
    await end(agent);
    store.close();
    await devStore.close();
  };
  try {
    await settled(stateDirectory);
  } catch (error) {
    await close();
    throw new Error(`cannot measure: the agent does not listen: ${agent.output()}`, { cause: error });
  }
  return {
    agent,
    port,
    stateDirectory,
    close,
    async release() {
      const { grant, operation, epoch } = await grantLease("bench/");
      const body = JSON.stringify({ environment: {} });
      const token = await signCommand({
        key: privateKey,
        placement,
        epoch,
        command: {
          kind: "start",
          key: `${operation}.start.1`,
          operation,
          grant,
          deadlineMs,
          bodySha256: bodySha256(body),
        },
      });
      const response = await fetch(`http://127.0.0.1:${port}/v1/start`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body,
      });
      const acceptedAt = now();
      if (response.status !== 202)
        throw new Error(`cannot measure: the start was refused: ${await response.text()}`);
      return acceptedAt;
    },
    async takeMs() {
      const prefix = "other/";
      const { grant, operation, epoch } = await grantLease(prefix);
      const run = { placement, instance: "1", counter: 1 };
      const began = performance.now();
      const change = { kind: "run", epoch, grant, run, operation, owner, holder: placement } as const;
      await changeLease({ store, prefix, change, deadlineMs });
      return performance.now() - began;
    },
  };
}
