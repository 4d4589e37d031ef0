import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { until } from "../containers/until.ts";

export interface Writer {
  /** Numbers whose write was acknowledged, in order. */
  readonly acknowledged: readonly number[];
  /** The first answer that was no acknowledgement; it writes no more then. */
  readonly refusal: () => string | null;
  /** Until so many more were acknowledged. */
  readonly goOn: (count: number) => Promise<void>;
  /** Ends the client. */
  readonly end: () => Promise<void>;
}

/**
 * Writes 1, 2, 3, … through a real client that reads statements from its stdin, the next one when the last was acknowledged, until the
 * connection ends.
 */
export function startWriter(params: {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly statement: (n: number) => string;
  /** What the client prints when write `n` was acknowledged. */
  readonly answer: (n: number) => string;
}): Writer {
  const { statement, answer } = params;
  const [file = "", ...args] = params.command;
  const client = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...params.environment } });
  const acknowledged: number[] = [];
  let refusal: string | null = null;
  const write = (): void => void client.stdin.write(`${statement(acknowledged.length + 1)}\n`);
  const refuse = (line: string): void => {
    refusal ??= line;
  };
  createInterface({ input: client.stdout }).on("line", (line) => {
    if (refusal !== null) return;
    if (line !== answer(acknowledged.length + 1)) return refuse(line);
    acknowledged.push(acknowledged.length + 1);
    write();
  });
  client.stderr.on("data", (chunk: Buffer) => refuse(chunk.toString()));
  // The server goes before its client does: what was not acknowledged yet is lost with the pipe.
  client.stdin.on("error", () => refuse("the client is gone"));
  client.once("exit", () => refuse("the client ended"));
  write();
  return {
    acknowledged,
    refusal: () => refusal,
    async goOn(count) {
      const from = acknowledged.length;
      await until(`${count} more writes after ${from}`, () => {
        if (refusal !== null) throw new Error(`a write was refused: ${refusal}`);
        return acknowledged.length >= from + count;
      });
    },
    async end() {
      if (client.exitCode !== null || client.signalCode !== null) return;
      const exited = once(client, "exit");
      client.kill("SIGKILL");
      await exited;
    },
  };
}
