import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { readStat } from "@baton/process-tree";
import { until } from "../containers/until.ts";
import type { Account, PostgresBed } from "./postgres-bed.ts";

const writerFile = join(import.meta.dirname, "fixtures/postgres-writer.ts");

/** The process of fixtures/postgres-writer.ts, and what its lanes came to. */
export function startPostgresWriter(settings: Account & PostgresBed["door"]) {
  const environment = { PATH: process.env["PATH"], WRITER: JSON.stringify(settings) };
  const child = spawn(process.execPath, [writerFile], {
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lanes = Array.from({ length: 3 }, () => ({ said: 0, isRefused: false }));
  let rest = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const [, number, word] of lines.map((line) => /^(\d) (\w+)$/.exec(line) ?? [])) {
      const lane = lanes[Number(number)];
      if (lane === undefined) throw new Error("the writer said something else");
      lane.said += word === "wrote" ? 1 : 0;
      lane.isRefused = word === "refused";
    }
  });
  return {
    lanes,
    async stop() {
      child.kill("SIGSTOP");
      await until("it is stopped", async () => (await readStat(child.pid ?? 0))?.state === "T");
    },
    goOn: () => void child.kill("SIGCONT"),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}
