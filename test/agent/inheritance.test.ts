import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { shell, useRunBed } from "./run-bed.ts";

/** Prints what it was executed with, as one line of JSON. */
const tell = (expression: string): readonly string[] => [
  process.execPath,
  "-e",
  `console.log("told " + JSON.stringify(${expression}))`,
];
const told = (output: string): unknown => JSON.parse(/^told (.*)$/m.exec(output)?.[1] ?? "null");

/** Those in what `ls -l /proc/self/fd` printed. `ls` itself holds the directory that it lists. */
const descriptors = (output: string): readonly number[] =>
  [...output.matchAll(/ (\d+) -> (\S+)/g)]
    .filter(([, , target]) => !/^\/proc\/\d+\/fd$/.test(target ?? ""))
    .map(([, number]) => Number(number));

describe("what the application gets from the agent in run mode", { timeout: 120_000 }, () => {
  const bed = useRunBed();

  it("case 47: an environment of 100,000 bytes arrives whole", async () => {
    const value = "x".repeat(100_000);
    const agent = await bed.run({
      env: { LARGE: value, WITH_LINE: "a\nb=c" },
      command: tell("[process.env.LARGE.length, process.env.WITH_LINE]"),
    });
    expect(await agent.ended()).toBe(0);
    expect(told(agent.output())).toEqual([100_000, "a\nb=c"]);
  });

  it("case 47: arguments with blanks, line ends, nothing and -- arrive as they are", async () => {
    const args = ["a b", "line\nend", "", "--", "--listen", "$(id)", "'\"", "ü"];
    const agent = await bed.run({ command: [...tell("process.argv.slice(1)"), "--", ...args] });
    expect(await agent.ended()).toBe(0);
    // Both streams are read as bytes.
    expect(Buffer.from(JSON.stringify(told(agent.output())), "latin1").toString()).toBe(JSON.stringify(args));
  });

  it("case 47: a working directory that was deleted does not keep it from starting", async () => {
    const directory = await mkdtemp(join(bed.directory(), "gone-"));
    const agent = await bed.run({
      cwd: directory,
      behind: ["sh", "-c", `rmdir ${directory} && exec "$@"`, "sh"],
      command: ["/bin/sh", "-c", "echo here; exit 7"],
    });
    expect(await agent.ended()).toBe(7);
    expect(agent.output()).toContain("here");
    await rmdir(directory).catch(() => undefined);
  });

  it("case 47: umask and limits are those that the agent was given, that of open files too", async () => {
    const agent = await bed.run({
      // Not exec'd: what was meant for open files is seen at the parent, since Node raises its own.
      behind: ["sh", "-c", 'umask 027; ulimit -S -n 345; ulimit -S -c 0; "$@"', "sh"],
      command: shell("echo umask $(umask) files $(ulimit -S -n) core $(ulimit -S -c)"),
    });
    expect(await agent.ended()).toBe(0);
    expect(agent.output()).toMatch(/umask 0?027 files 345 core 0/);
  });

  it("case 47: the soft and the hard limit of open files are those that the agent was started with", async () => {
    const agent = await bed.run({
      behind: ["sh", "-c", 'ulimit -S -n 345; ulimit -H -n 4567; "$@"', "sh"],
      command: shell("grep '^Max open files' /proc/self/limits"),
    });
    expect(await agent.ended()).toBe(0);
    expect(agent.output()).toMatch(/Max open files +345 +4567 /);
  });

  it("case 47: descriptors from 3 on are not handed down, neither the agent's nor its parent's", async () => {
    const file = openSync("/etc/hostname", "r");
    onTestFinished(() => closeSync(file));
    const agent = await bed.run({
      stdio: ["ignore", "pipe", "pipe", file, file],
      command: shell("ls -l /proc/self/fd"),
    });
    expect(await agent.ended()).toBe(0);
    expect(descriptors(agent.output())).toEqual([0, 1, 2]);
  });

  it("case 47: descriptors beyond a gap are not handed down either, and the application's own work", async () => {
    // Only bash takes numbers above 9 there.
    const agent = await bed.run({
      behind: [
        "bash",
        "-c",
        'exec 3</etc/hostname 7</etc/passwd 20</etc/group 200</etc/hosts; exec "$@"',
        "sh",
      ],
      command: shell(
        "ls -l /proc/$PPID/fd /proc/self/fd; exec 9</etc/hostname; cat <&9 > /dev/null && echo read",
      ),
    });
    expect(await agent.ended()).toBe(0);
    expect(agent.output()).toContain("read");
    // Neither the application nor the agent holds them any more; 3 and 7 stay the agent's own.
    expect(agent.output()).not.toMatch(/-> \/etc\/(group|hosts)/);
    const [, applications = ""] = agent.output().split("/proc/self/fd:");
    expect(descriptors(applications)).toEqual([0, 1, 2]);
  });

  it("case 47: no setting and no secret of the agent is in the application's environment or arguments", async () => {
    const agent = await bed.run({
      env: { BATON_PLATFORM_GRACE_MS: "4000", KRAKE_TOKEN: "krake-secret", KEPT: "yes" },
      command: shell("tr '\\0' '\\n' < /proc/self/environ; tr '\\0' ' ' < /proc/$$/cmdline"),
    });
    expect(await agent.ended()).toBe(0);
    expect(agent.output()).toContain("KEPT=yes");
    expect(agent.output()).not.toMatch(/BATON_PLATFORM_GRACE_MS|krake-secret|--state-directory/);
    const key = JSON.parse(await readFile(join(agent.stateDirectory, "key.json"), "utf8")) as { d: string };
    expect(agent.output()).not.toContain(key.d);
  });
});
