import { chmod, mkdtemp, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type RunBed, shell, useRunBed } from "./run-bed.ts";

/** Those that end a process that does not handle them. */
const deadly = Object.entries(constants.signals)
  .filter(([name]) => !/^SIG(CHLD|CONT|STOP|TSTP|TTIN|TTOU|URG|WINCH)$/.test(name))
  .map(([name, number]) => ({ name, number }))
  .filter(({ number }, index, all) => all.findIndex((other) => other.number === number) === index);

/** The agent's exit status for an application that does this. */
async function statusOf(bed: RunBed, script: string, options: readonly string[] = []): Promise<number> {
  const agent = await bed.run({ options, command: shell(script) });
  return agent.ended();
}

/** Some at a time: each is an agent. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all([worker(), worker(), worker()]);
}

describe("exit statuses of the agent in run mode", { timeout: 180_000 }, () => {
  const bed = useRunBed();

  it("case 3: an application killed by a signal ends the agent with 128 + its number, by an exit", async () => {
    await each(deadly, async ({ name, number }) => {
      const agent = await bed.run({ command: shell(`ulimit -c 0; kill -${number} $$; sleep 5`) });
      expect({ name, status: await agent.ended() }).toEqual({ name, status: 128 + number });
      // The agent exits; it is not killed by the same signal once more.
      expect(agent.child.signalCode).toBeNull();
      const [receipt] = await agent.receipts();
      expect(receipt?.exit).toMatchObject({ code: null, signal: expect.stringMatching(/^SIG/) });
    });
  });

  it("case 4: exit statuses pass through", async () => {
    const some = [0, 1, 2, 3, 63, 64, 77, 100, 125, 126, 127, 128, 129, 143, 200, 254, 255];
    await each(some, async (status) => {
      expect(await statusOf(bed, `exit ${status}`)).toBe(status);
    });
  });

  it("case 4: statuses are mapped as the options say, those of signals too", async () => {
    const options = ["--map-exit-code", "143:0", "--map-exit-code", "3:9"];
    expect(await statusOf(bed, "exit 3", options)).toBe(9);
    expect(await statusOf(bed, "kill -TERM $$; sleep 5", options)).toBe(0);
    expect(await statusOf(bed, "exit 143", options)).toBe(0);
    expect(await statusOf(bed, "exit 4", options)).toBe(4);
  });

  it("case 4: a command that does not exist ends with 127, and says where it was looked for", async () => {
    const nowhere = await bed.run({ command: ["no-such-program-anywhere"] });
    expect(await nowhere.ended()).toBe(127);
    expect(nowhere.output()).toContain(
      'cannot execute "no-such-program-anywhere": it is in no directory of PATH',
    );
    const missing = await bed.run({ command: ["/nowhere/program"] });
    expect(await missing.ended()).toBe(127);
    expect(missing.output()).toContain('cannot execute "/nowhere/program": there is no such file');
    const interpreter = await script("#!/nowhere/interpreter\n", 0o755);
    const orphan = await bed.run({ command: [interpreter] });
    expect(await orphan.ended()).toBe(127);
  });

  it("case 4: a command that may not be executed ends with 126, and says why", async () => {
    const plain = await script("#!/bin/sh\nexit 0\n", 0o644);
    const forbidden = await bed.run({ command: [plain] });
    expect(await forbidden.ended()).toBe(126);
    expect(forbidden.output()).toContain("may not be executed by user");
    const folder = await bed.run({ command: ["/etc"] });
    expect(await folder.ended()).toBe(126);
    expect(folder.output()).toContain("/etc is not a file");
  });

  it("case 4: a working directory that is not there ends with 127, and is named", async () => {
    const agent = await bed.run({
      options: ["--working-directory", "/nowhere/at/all"],
      command: ["/bin/sh", "-c", "exit 0"],
    });
    expect(await agent.ended()).toBe(127);
    expect(agent.output()).toContain("there is no working directory /nowhere/at/all");
  });

  it("case 4: a script without an interpreter line is executed as a shell would", async () => {
    const plain = await script("exit 42\n", 0o755);
    const agent = await bed.run({ command: [plain] });
    expect(await agent.ended()).toBe(42);
  });

  it("case 4: a file that is no program ends the agent with a failure", async () => {
    const broken = await script("\x7fELF broken\0\0\0", 0o755);
    const agent = await bed.run({ command: [broken] });
    expect([2, 126, 127]).toContain(await agent.ended());
    expect(agent.output()).not.toBe("");
  });

  async function script(content: string, mode: number): Promise<string> {
    const path = join(await mkdtemp(join(bed.directory(), "x-")), "program");
    await writeFile(path, content);
    await chmod(path, mode);
    return path;
  }
});
