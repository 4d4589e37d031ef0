/* Inventories by the command line: of a store that a ledger writes to. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Harbour, application, clusters, openHarbour, runOperation } from "@baton/example-ledger/demo";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Ended, runCli } from "../bad-input/run-cli.ts";

const openMs = 90_000;

describe("an inventory by the command line", () => {
  let harbour: Harbour;
  let files: readonly [string, string];
  const baton = (...args: readonly string[]): Promise<Ended> =>
    runCli(args, { stateDirectory: join(harbour.directory, "orchestrator") });
  beforeAll(async () => {
    harbour = await openHarbour();
    files = [join(harbour.directory, "before.gz"), join(harbour.directory, "after.gz")];
  }, openMs);
  afterAll(() => harbour.close(), openMs);

  it("is saved, and compared with a later one", async () => {
    const empty = await baton("storage", "inventory", "harbor", "--save", files[0]);
    expect(empty.stderr).toBe("");
    expect(empty.stdout).toMatch(/^0 objects below ledger\/, 0 bytes\ndigest [0-9a-f]{64}\n/);
    const deployed = await runOperation(harbour.client, { kind: "deploy", application, to: clusters[0] });
    expect(deployed.state).toBe("committed");
    expect(await baton("storage", "inventory", "harbor", "--save", files[1])).toMatchObject({ status: 0 });

    const same = await baton("storage", "compare", files[1], files[1]);
    expect(same).toMatchObject({ status: 0, stderr: "" });
    expect(same.stdout).toMatch(/^Nothing differs below "ledger\/": \d+ objects?, \d+ bytes\.\n$/);
    const differing = await baton("storage", "compare", ...files);
    expect(differing).toMatchObject({ status: 1, stderr: "" });
    expect(differing.stdout).toMatch(/ differs? below "ledger\/": \d+ added, 0 removed, 0 changed\./);
    expect(differing.stdout).toContain("\n  + ");
    const json = await baton("storage", "compare", ...files, "--first", "1", "--output", "json");
    const { added, first } = JSON.parse(json.stdout) as { added: number; first: readonly unknown[] };
    expect(added).toBeGreaterThan(0);
    expect(first).toHaveLength(1);
  });

  it("is never written over another file", async () => {
    const kept = join(harbour.directory, "kept");
    await writeFile(kept, "mine");
    expect(await baton("storage", "inventory", "harbor", "--save", kept)).toEqual({
      status: 1,
      stdout: "",
      stderr: `baton: cannot save the inventory to ${kept}: it is there already; an inventory is never written over; name another file\n`,
    });
    expect(await readFile(kept, "utf8")).toBe("mine");
  });

  it.each([
    ["/nowhere/at/all", "it cannot be written (ENOENT)"],
    ["/proc/x", "it cannot be written"],
  ])("says that %s cannot be written", async (file, why) => {
    const ended = await baton("storage", "inventory", "harbor", "--save", file);
    expect(ended).toMatchObject({ status: 1, stdout: "" });
    expect(ended.stderr).toContain(why);
  });

  it("is not taken of what nobody declared, nor read from what is none", async () => {
    expect((await baton("storage", "inventory", "quay")).stderr).toContain('cannot use storage "quay"');
    const none = join(harbour.directory, "none");
    expect((await baton("storage", "compare", none, none)).stderr).toContain(`cannot read ${none}`);
    const text = join(harbour.directory, "text");
    await writeFile(text, "no inventory");
    const damaged = await baton("storage", "compare", text, text);
    expect(damaged).toMatchObject({ status: 1, stdout: "" });
    expect(damaged.stderr).toContain(text);
  });
});
