import { Readable, Writable } from "node:stream";
import { Exec, type V1Status } from "@kubernetes/client-node";
import { WebSocketHandler } from "@kubernetes/client-node/dist/web-socket-handler.js";
import { AppError } from "@baton/protocol";
import type { KubeIdentity } from "./kube-identity.ts";

const largestOutputBytes = 8_388_608;

export interface ExecParams {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly command: readonly string[];
  readonly signal: AbortSignal;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in a container. @throws AppError `cluster-unavailable` when it did not run to its end, or the signal's reason */
export async function execInPod(identity: KubeIdentity, params: ExecParams): Promise<ExecResult> {
  const { namespace, pod, container, command, signal } = params;
  const what = `run ${command[0]} in container ${container} of pod ${namespace}/${pod}`;
  const fail = (why: string): AppError => new AppError("cluster-unavailable", `cannot ${what}: ${why}`);
  const [stdout, stderr] = [collector(), collector()];
  const ended = Promise.withResolvers<V1Status>();
  const stop = (): void => ended.reject(signal.reason as Error);
  signal.throwIfAborted();
  signal.addEventListener("abort", stop, { once: true });
  // Without streams it takes this process's own, and keeps its stdin open.
  const streams = { stdin: Readable.from([]), stdout: stdout.stream, stderr: stderr.stream };
  const opening = new Exec(identity.config, new WebSocketHandler(identity.config, undefined, streams)).exec(
    namespace,
    pod,
    container,
    [...command],
    stdout.stream,
    stderr.stream,
    null,
    false,
    ended.resolve,
  );
  const closing = opening.then((socket) => {
    socket.onclose = () => ended.reject(fail("the connection was closed before it ended; try again"));
    return socket;
  });
  closing.catch((error: unknown) => ended.reject(fail(`the API server refused it (${refusalOf(error)})`)));
  try {
    const status = await ended.promise;
    const exitCode = exitCodeOf(status);
    if (exitCode === null) throw fail(status.message?.split("\n")[0]?.slice(0, 300) ?? "it did not begin");
    return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
  } finally {
    signal.removeEventListener("abort", stop);
    closing.then(
      (socket) => socket.terminate(),
      () => {},
    );
  }
}

/** Null: it was not executed at all. */
function exitCodeOf({ status, details }: V1Status): number | null {
  if (status === "Success") return 0;
  const code = details?.causes?.find(({ reason }) => reason === "ExitCode")?.message;
  return code === undefined ? null : Number(code);
}

/** Of a websocket's opening: "Unexpected server response: 403". Nothing else of it is shown, since it knows the credential. */
function refusalOf(error: unknown): string {
  const message =
    typeof error === "object" && error !== null && "message" in error ? String(error.message) : "";
  const status = /response: (\d{3})$/.exec(message)?.[1];
  if (status === "403") return '403: "create" of pods/exec is not allowed; grant it by a role';
  return status ?? "it does not answer";
}

function collector(): { readonly stream: Writable; readonly text: () => string } {
  const chunks: Buffer[] = [];
  let size = 0;
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size <= largestOutputBytes) chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}
