import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { openCommand } from "./command.ts";
import { telling, testTrafficPlugin } from "./traffic-plugin.testsuite.ts";

const program = fileURLToPath(new URL("fixtures/record-route.mjs", import.meta.url));
const open = (...command: readonly string[]) =>
  openCommand({ plugin: "command", command: [...command], timeoutMs: 5_000 });

let directory: string;
let count = 0;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "baton-command-"));
});
afterAll(() => rm(directory, { recursive: true }));
const newFile = (): string => join(directory, String((count += 1)));

interface Recorded {
  readonly telling: { readonly url: string | null };
  readonly environment: Readonly<Record<string, string>>;
}
const readLines = async (file: string): Promise<readonly Recorded[]> =>
  existsSync(file)
    ? (await readFile(file, "utf8"))
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Recorded)
    : [];

testTrafficPlugin("a command", async () => {
  const file = newFile();
  let mode: readonly string[] = [];
  const now = () => open(process.execPath, program, file, ...mode);
  return {
    plugin: {
      tell: (...of) => now().tell(...of),
      check: (...of) => now().check(...of),
    },
    async leadsTo() {
      const url = (await readLines(file)).at(-1)?.telling.url ?? null;
      return url === null ? null : new URL(url).hostname;
    },
    async silence() {
      mode = ["hang"];
    },
    refuse: () => writeFile(`${file}.refuse`, ""),
    async resume() {
      mode = [];
      await rm(`${file}.refuse`, { force: true });
    },
    close: async () => undefined,
  };
});

it("gets the facts twice, and nothing else of the orchestrator's environment", async () => {
  vi.stubEnv("BATON_DATABASE_URL", "postgres://hunter2@harbor/");
  const file = newFile();
  await open(process.execPath, program, file).tell(telling({}), AbortSignal.timeout(5_000));
  vi.unstubAllEnvs();
  const { placement, cluster, url } = telling({}).route ?? {};
  const [recorded] = await readLines(file);
  expect(recorded?.telling).toEqual({
    version: 1,
    application: "ledger",
    epoch: 1,
    revision: 1,
    placement,
    cluster,
    url,
    previous: null,
  });
  expect(recorded?.environment).toEqual({
    BATON_APPLICATION: "ledger",
    BATON_EPOCH: "1",
    BATON_REVISION: "1",
    BATON_CLUSTER: cluster,
    BATON_PLACEMENT: placement,
    BATON_URL: url,
    BATON_PREVIOUS_CLUSTER: "",
    BATON_PREVIOUS_PLACEMENT: "",
    BATON_PREVIOUS_URL: "",
  });
});

it("what is an argument is no word for a shell", async () => {
  const file = newFile();
  await open(process.execPath, program, file, `;touch ${file}.pwned`).tell(
    telling({}),
    AbortSignal.timeout(5_000),
  );
  expect(await readLines(file)).toHaveLength(1);
  expect(existsSync(`${file}.pwned`)).toBe(false);
});

it("at its deadline everything that it started is killed", async () => {
  const file = newFile();
  await expect(
    open(process.execPath, program, file, "hang").tell(telling({}), AbortSignal.timeout(3_000)),
  ).rejects.toThrow("it did not end within its deadline and was killed");
  const pids = (await readFile(`${file}.pids`, "utf8")).split(" ").map(Number);
  expect(pids).toHaveLength(2);
  await vi.waitFor(async () => {
    for (const pid of pids) expect(await isAlive(pid)).toBe(false);
  });
});

/** A zombie that nobody reaps is dead. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat !== "" && !/\) [ZX] /.test(stat);
}

it("says how it ended, with its last words", () =>
  expect(
    open("/bin/sh", "-c", "echo no such pool >&2; exit 7").tell(telling({}), AbortSignal.timeout(5_000)),
  ).rejects.toMatchObject({
    code: "traffic-failed",
    message: expect.stringContaining("it ended with status 7: no such pool"),
  }));

it("a flood of output does not hold it up", async () => {
  const flood = open("/bin/sh", "-c", "head -c 5000000 /dev/zero");
  await expect(flood.tell(telling({}), AbortSignal.timeout(5_000))).resolves.toBeUndefined();
});

it.each([
  ["that is not there", async () => "/nowhere/tell", "/nowhere/tell is not there"],
  ["that is a directory", async () => directory, "is no file"],
  ["without the right to execute it", () => writeProgram(0o644), "may not be executed"],
])("a program %s cannot be used", async (_what, make, words) => {
  const path = await make();
  await expect(open(path).check(AbortSignal.timeout(1_000))).rejects.toMatchObject({
    code: "traffic-unusable",
    message: expect.stringContaining(words),
  });
  await expect(open(path).tell(telling({}), AbortSignal.timeout(1_000))).rejects.toMatchObject({
    message: expect.stringContaining("cannot be executed (E"),
  });
});

async function writeProgram(mode: number): Promise<string> {
  const file = newFile();
  await writeFile(file, "#!/bin/sh\n");
  await chmod(file, mode);
  return file;
}
