import { chmod, copyFile, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lookAsUser, NOBODY } from "./fixtures/look.ts";
import { rootOnly } from "./fixtures/root-only.ts";
import { endFixtures, startProgram, until } from "./fixtures/start-fixture.ts";
import { openFiles } from "./open-files.ts";
import type { OpenFiles, OpenFilesOptions } from "./open-files.ts";
import { identify } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { readStatNow } from "./process-stat.ts";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "process-tree-")));
  await mkdir(join(folder, "data"));
  file = join(folder, "data/dump.rdb");
  await writeFile(file, "x");
});

afterEach(async () => {
  await endFixtures();
  await rm(folder, { recursive: true });
});

/**
 * Nothing here is older than the test itself, and no fixture changes its user. What others start meanwhile may keep a
 * look from its end, so it is repeated until there is one.
 */
async function look(options: Partial<OpenFilesOptions> = {}): Promise<OpenFiles> {
  const since = (await identify(process.pid))?.startTime;
  return untilConcluded(() =>
    openFiles({
      directories: [join(folder, "data")],
      since,
      noNewPrivileges: true,
      deadlineAt: performance.now() + 10_000,
      ...options,
    }),
  );
}

async function untilConcluded(lookOnce: () => Promise<OpenFiles>): Promise<OpenFiles> {
  let result: OpenFiles | undefined;
  const isConcluded = async (): Promise<boolean> => {
    result = await lookOnce();
    return !result.reasons.includes("processes came and went faster than they could be read");
  };
  await until(isConcluded, "a look comes to its end");
  if (result === undefined) throw new Error("cannot look");
  return result;
}

/** Runs a shell program; `$1` is the folder. It says when it is done and then sleeps. */
async function run(program: string, ...starter: readonly string[]): Promise<ProcessIdentity> {
  const shell = ["sh", "-c", `${program}\necho "done $$"; exec sleep 300`, "sh", folder];
  const [command, ...args]: readonly string[] = [...starter, ...shell];
  const { find } = await startProgram(command ?? "", args, {});
  const done = await find("done");
  await until(() => readStatNow(done.pid)?.comm === "sleep", "the program sleeps");
  return done;
}

describe("openFiles", () => {
  it("is free when nobody holds anything, nor a lock file that is left unlocked", async () => {
    await writeFile(join(folder, "data/redis.lock"), "");
    await run('exec 9>"$1/outside"');
    expect(await look()).toEqual({ state: "free", reasons: [] });
  });

  it("names who has a file open, whether it still has a name or not", async () => {
    const { pid } = await run('exec 3<"$1/data/dump.rdb" 4>"$1/data/gone"; rm "$1/data/gone"');
    expect(await look()).toEqual({
      state: "held",
      reasons: [
        `process ${pid} (sleep) has ${file} open`,
        `process ${pid} (sleep) has ${join(folder, "data/gone")} (deleted) open`,
      ],
    });
    expect(await look({ exclude: [pid] })).toEqual({ state: "free", reasons: [] });
  });

  it("means what a symbolic link leads to, on either side", async () => {
    await symlink("data", join(folder, "link"));
    await symlink(file, join(folder, "dump"));
    const { pid } = await run('exec 3<"$1/dump"');
    expect(await look({ directories: [join(folder, "link")] })).toEqual({
      state: "held",
      reasons: [`process ${pid} (sleep) has ${file} open`],
    });
  });

  it("does not take a folder of a similar name for it, nor a process that only stands there", async () => {
    await mkdir(join(folder, "data2"));
    await run('cd "$1/data"; exec 3>"$1/data2/x"');
    expect(await look()).toEqual({ state: "free", reasons: [] });
  });

  it("names who has a file mapped without an fd", async () => {
    const program = join(folder, "data/program");
    await copyFile("/bin/sleep", program);
    await chmod(program, 0o755);
    const { root } = await startProgram(program, ["300"], {});
    expect(await look()).toEqual({
      state: "held",
      reasons: [`process ${root.pid} (program) has ${program} mapped`],
    });
  });

  it("finds locks of every kind besides the open file", async () => {
    const perl = fileURLToPath(new URL("fixtures/hold-lock.pl", import.meta.url));
    const flock = await run('exec 3>"$1/data/a"; flock 3');
    const posix = await (
      await startProgram("perl", [perl, "POSIX", join(folder, "data/b")], {})
    ).find("holder");
    await (await startProgram("perl", [perl, "OFD", join(folder, "data/c")], {})).find("holder");
    const { state, reasons } = await look();
    expect(state).toBe("held");
    expect(reasons.filter((reason) => reason.includes(" lock "))).toEqual(
      expect.arrayContaining([
        // Taken by the program flock, which ended; the shell holds on.
        `somebody has a lock (FLOCK) on ${join(folder, "data/a")}`,
        `process ${posix.pid} (perl) has a lock (POSIX) on ${join(folder, "data/b")}`,
        `somebody has a lock (OFDLCK) on ${join(folder, "data/c")}`,
      ]),
    );
    expect(reasons).toContain(`process ${flock.pid} (sleep) has ${join(folder, "data/a")} open`);
  });

  it("does not know of locks where there are more files than it may look at", async () => {
    const perl = fileURLToPath(new URL("fixtures/hold-lock.pl", import.meta.url));
    await (await startProgram("perl", [perl, "POSIX", join(folder, "outside")], {})).find("holder");
    expect(await look({ maxFiles: 2 })).toEqual({ state: "free", reasons: [] });
    expect(await look({ maxFiles: 1 })).toEqual({
      state: "unknown",
      reasons: [
        `there are too many files below ${join(folder, "data")} to find those that are locked or open elsewhere`,
      ],
    });
  });

  it("does not know of a directory that is not there, nor of none at all, but names holders all the same", async () => {
    const missing = join(folder, "missing");
    expect(await look({ directories: [missing] })).toEqual({
      state: "unknown",
      reasons: [`${missing} cannot be looked at: ENOENT`],
    });
    expect((await look({ directories: [] })).state).toBe("unknown");
    const { pid } = await run('exec 3<"$1/data/dump.rdb"');
    expect(await look({ directories: [missing, join(folder, "data")] })).toEqual({
      state: "held",
      reasons: [`process ${pid} (sleep) has ${file} open`, `${missing} cannot be looked at: ENOENT`],
    });
  });

  it("does not know when the time is over", async () => {
    expect(await look({ deadlineAt: performance.now() - 1 })).toEqual({
      state: "unknown",
      reasons: ["looking for open files took too long"],
    });
  });
});

/** Mounts need root. */
describe("openFiles, where mounts differ", rootOnly, () => {
  it("knows a file by its place, through another mount in another namespace, also when it is deleted", async () => {
    const { pid } = await run(
      'mkdir "$1/app"; mount --bind "$1/data" "$1/app"; exec 3<"$1/app/dump.rdb" 4>"$1/app/gone"; rm "$1/app/gone"',
      "unshare",
      "--mount",
    );
    expect(await look()).toEqual({
      state: "held",
      reasons: [
        `process ${pid} (sleep) has ${join(folder, "app/dump.rdb")} open`,
        `process ${pid} (sleep) has ${join(folder, "app/gone")} (deleted) open`,
      ],
    });
  });

  it("does not mind another file system that a neighbour has on the same path", async () => {
    await run('mount -t tmpfs none "$1/data"; exec 3>"$1/data/dump.rdb"', "unshare", "--mount");
    expect(await look()).toEqual({ state: "free", reasons: [] });
  });

  it("finds a file whose mount was taken away, unless it is deleted as well", async () => {
    const program = (opened: string): string =>
      `mount --bind "$1/data" "$1/data"; exec ${opened}; rm -f "$1/data/gone"; umount --lazy "$1/data"`;
    const { pid } = await run(program('3<"$1/data/dump.rdb"'), "unshare", "--mount");
    expect(await look()).toEqual({ state: "held", reasons: [`process ${pid} (sleep) has ${file} open`] });
    const deleted = await run(program('3>"$1/data/gone"'), "unshare", "--mount");
    expect(await look({ exclude: [pid] })).toEqual({
      state: "unknown",
      reasons: [`process ${deleted.pid} (sleep) has /gone (deleted) open, and no mount tells where it was`],
    });
  });
});

/** Other users' processes can only be had by root. */
describe("openFiles, where processes cannot be read", rootOnly, () => {
  beforeEach(async () => {
    await chmod(folder, 0o755);
  });

  const lookAsNobody = (options: Partial<OpenFilesOptions>): Promise<OpenFiles> =>
    untilConcluded(async () => {
      const files = { directories: [join(folder, "data")], ...options };
      const { value, error } = await lookAsUser({ uid: NOBODY, files });
      if (error !== undefined) throw new Error(error.message);
      return value as OpenFiles;
    });

  it("is unknown as long as one of them may be of the tree", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    const { state, reasons } = await lookAsNobody({ since: root.startTime });
    expect(state).toBe("unknown");
    expect(reasons).toContain(`process ${root.pid} (sleep) cannot be looked into: EACCES`);
    // Other tests may run programs as this user too, which are no strangers then.
    const foreign = await lookAsNobody({ since: root.startTime, noNewPrivileges: true });
    expect(foreign.reasons.filter((reason) => reason.includes("(sleep)"))).toEqual([]);
  });

  it("sees a lock of a process that it cannot read", async () => {
    const perl = fileURLToPath(new URL("fixtures/hold-lock.pl", import.meta.url));
    const holder = await (await startProgram("perl", [perl, "POSIX", file], {})).find("holder");
    const { state, reasons } = await lookAsNobody({ noNewPrivileges: true });
    expect(state).toBe("held");
    expect(reasons).toContain(`process ${holder.pid} (perl) has a lock (POSIX) on ${file}`);
  });

  it("does not know of locks below a folder that it may not look into", async () => {
    const perl = fileURLToPath(new URL("fixtures/hold-lock.pl", import.meta.url));
    await (await startProgram("perl", [perl, "POSIX", join(folder, "outside")], {})).find("holder");
    await mkdir(join(folder, "data/private"), { mode: 0o700 });
    const { state, reasons } = await lookAsNobody({ noNewPrivileges: true });
    expect(state).toBe("unknown");
    expect(reasons).toContainEqual(expect.stringMatching(/^EACCES: permission denied, opendir /));
  });
});
