import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { needsContainers, useContainers } from "./container-bed.ts";
import { findPodman } from "./podman.ts";
import { until } from "./until.ts";

const found = await findPodman();

describe(
  "a terminal or a pipe through the agent",
  {
    skip: found.missing !== null,
    meta: needsContainers(found),
  },
  () => {
    const bed = useContainers(found);

    /** `podman run -it` on a terminal of 33 rows and 101 columns; `script` lends it. */
    const onTerminal = async (command: readonly string[]) => {
      const args = ["podman", ...(await bed.attached({ command, podman: ["--interactive", "--tty"] }))];
      const quoted = args.map((arg) => `'${arg.replaceAll("'", `'\\''`)}'`).join(" ");
      const child = spawn("script", ["-qec", `stty rows 33 cols 101; exec ${quoted}`, "/dev/null"], {
        env: { ...bed.podman.environment, TERM: "dumb" },
        stdio: ["pipe", "pipe", "inherit"],
        timeout: 60_000,
        killSignal: "SIGKILL",
      });
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString().replaceAll("\r", "")));
      return {
        type: (text: string): void => void child.stdin.write(text),
        output: () => output,
        sees: (words: string) => until(`"${words}" on the terminal`, () => output.includes(words)),
        ended: () => statusOf(child),
      };
    };

    it("case 46: the application has the terminal, with its size", async () => {
      const look = "stty size; tty; echo through >/dev/tty; exit 7";
      const terminal = await onTerminal(["bash", "-c", look]);
      expect(await terminal.ended()).toBe(7);
      expect(terminal.output()).toContain("33 101\n/dev/pts/0\nthrough\n");
    });

    it("case 46: Ctrl-C and Ctrl-Z are for the shell's job, not for the shell or the agent", async () => {
      const terminal = await onTerminal(["bash", "--norc", "--noediting", "-i"]);
      // In two parts, as the terminal echoes what is typed.
      const job = (name: string): string => `sh -c 'echo ${name}-"runs"; exec sleep 100'\n`;
      terminal.type(job("first"));
      await terminal.sees("first-runs");
      terminal.type("\u0003");
      terminal.type("echo status-$?\n");
      await terminal.sees("status-130");
      terminal.type(job("second"));
      await terminal.sees("second-runs");
      terminal.type("\u001a");
      await terminal.sees("Stopped");
      terminal.type("kill -9 %1; disown -a; exit 5\n");
      expect(await terminal.ended()).toBe(5);
    });

    it("case 46: Ctrl-C to an application that holds the terminal itself is its graceful stop", async () => {
      const terminal = await onTerminal(["node", "/app/application.ts", "300", "0"]);
      await terminal.sees("ready");
      terminal.type("\u0003");
      expect(await terminal.ended()).toBe(0);
      expect(terminal.output()).toContain("told by SIGINT");
    });

    it("case 46: binary input passes unchanged to its end", async () => {
      const bytes = Buffer.concat([Buffer.from([...Array(256).keys()]), randomBytes(300_000)]);
      const args = await bed.attached({ command: ["cat"], podman: ["--interactive"] });
      const child = spawn("podman", args, {
        env: bed.podman.environment,
        stdio: ["pipe", "pipe", "ignore"],
        timeout: 60_000,
        killSignal: "SIGKILL",
      });
      child.stdin.end(bytes);
      const [output, status] = await Promise.all([buffer(child.stdout), statusOf(child)]);
      expect(status).toBe(0);
      expect(output.equals(bytes)).toBe(true);
    });
  },
);

async function statusOf(child: ChildProcess): Promise<number | null> {
  const [status] = (await once(child, "exit")) as [number | null];
  return status;
}
