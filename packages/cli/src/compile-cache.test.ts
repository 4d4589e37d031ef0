import { spawnSync } from "node:child_process";
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { keepCompiled } from "./compile-cache.ts";

const module = new URL("compile-cache.ts", import.meta.url).href;
const other = new URL("interruption.ts", import.meta.url).href;

/** What a process that keeps what it compiles leaves in a state directory of that mode. */
async function leftBehind(mode: number | null): Promise<readonly string[]> {
  const parent = await mkdtemp(join(tmpdir(), "baton-compiled-"));
  onTestFinished(() => rm(parent, { recursive: true }));
  const state = mode === null ? join(parent, "none") : parent;
  if (mode !== null) await chmod(state, mode);
  const program = `import { keepCompiled, writeCompiled } from ${JSON.stringify(module)};
    keepCompiled(${JSON.stringify(state)}); await import(${JSON.stringify(other)}); writeCompiled();`;
  const { status } = spawnSync(process.execPath, ["--input-type=module", "--eval", program]);
  expect(status).toBe(0);
  return (await readdir(parent, { recursive: true })).filter((name) => name.startsWith("compile-cache/"));
}

it("is kept in a state directory of our own", async () => {
  expect((await leftBehind(0o755)).length).toBeGreaterThan(1);
});

it.each([0o777, 0o775, null])(
  "is not kept where others can write, or nothing is yet: mode %s",
  async (mode) => {
    expect(await leftBehind(mode)).toEqual([]);
  },
);

it("leaves what is wrong with the state directory to whoever opens it", () => {
  expect(() => keepCompiled(join(import.meta.filename, "state"))).not.toThrow();
});
