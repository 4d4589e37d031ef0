import { afterEach, describe, expect, it } from "vitest";
import { lookAsUser } from "./fixtures/look.ts";
import { endFixtures, startProgram, until } from "./fixtures/start-fixture.ts";
import { identify } from "./process-identity.ts";
import { hasNoNewPrivileges, readRights } from "./process-status.ts";

afterEach(endFixtures);

describe("hasNoNewPrivileges", () => {
  it("is true for a program started without a way to new privileges", async () => {
    expect(await lookAsUser({}, "setpriv", "--no-new-privs")).toEqual({ value: true });
    const { root } = await startProgram("setpriv", ["--no-new-privs", "sleep", "300"], {});
    await until(async () => hasNoNewPrivileges(root.pid), "setpriv has set the flag");
  });

  it("is what the kernel says of this process", async () => {
    expect(await hasNoNewPrivileges("self")).toBe(await hasNoNewPrivileges(process.pid));
  });

  it("throws for a process that is gone", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    process.kill(root.pid, "SIGKILL");
    await until(async () => (await identify(root.pid)) === null, "the process is reaped");
    await expect(hasNoNewPrivileges(root.pid)).rejects.toThrow("it is gone");
  });
});

describe("readRights", () => {
  it("gives the four user ids", () => {
    const uid = process.getuid?.();
    expect(readRights("self")?.uids).toEqual([uid, uid, uid, uid]);
  });
});
