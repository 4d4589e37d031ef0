import { execFileSync, spawn } from "node:child_process";
import { chmod, link, mkdir, readFile, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { join } from "node:path";
import { inspect } from "node:util";
import type { Repository } from "@baton/volumes";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { limit, missing, needs, openVolumeBed, type VolumeBed } from "./volume-bed.ts";

describe("a repository", { skip: missing, meta: { needs } }, () => {
  let bed: VolumeBed;
  let repository: Repository;
  let path: string;
  const oddName = Buffer.from([0x6e, 0xff, 0xfe]);

  beforeAll(async () => {
    bed = await openVolumeBed();
    path = join(bed.directory, "data [1]*");
    await mkdir(join(path, "cache [a]"), { recursive: true });
    await writeFile(join(path, "cache [a]", "left out"), "x");
    await writeFile(join(path, "cache a"), "kept");
    await writeFile(Buffer.concat([Buffer.from(`${path}/`), oddName]), "odd");
    await writeFile(join(path, "a"), "hello");
    await link(join(path, "a"), join(path, "b"));
    await symlink("a", join(path, "c"));
    await writeFile(join(path, "sparse"), "");
    await truncate(join(path, "sparse"), 8 << 20);
    execFileSync("setfattr", ["-n", "user.owner", "-v", "me", path]);
    await chmod(path, 0o750);
    await utimes(path, 1_000_000_000, 1_000_000_000);
    repository = await bed.open();
  });
  afterAll(() => bed.close());

  const take = () =>
    repository.backup({
      ...limit,
      path,
      volume: "data",
      epoch: 1,
      kind: "final",
      exclude: ["cache [a]"],
    });

  it("is not there before it was made", async () => {
    await expect(repository.snapshots(limit)).rejects.toMatchObject({ code: "not-found" });
  });

  it("is made once, and again changes nothing", async () => {
    await repository.init(limit);
    await repository.init(limit);
    expect(await repository.snapshots(limit)).toEqual([]);
  });

  it("opens with no other key", async () => {
    const other = await bed.open({ key: "another-key" });
    for (const call of [() => other.init(limit), () => other.snapshots(limit)])
      await expect(call()).rejects.toMatchObject({
        code: "repository-key",
        message: expect.stringContaining("the key is not the repository's"),
      });
  });

  it("keeps a tree with its own owner, names of any bytes, links and attributes", async () => {
    const progress: number[] = [];
    const result = await repository.backup({
      ...limit,
      path,
      volume: "data",
      epoch: 7,
      kind: "final",
      exclude: ["cache [a]"],
      onProgress: ({ bytesDone }) => progress.push(bytesDone),
    });
    expect(result).toMatchObject({ unread: [], snapshot: { volume: "data", epoch: 7, kind: "final" } });
    expect(result.bytes).toBeGreaterThan(8 << 20);
    expect(progress.length).toBeGreaterThan(0);

    const target = join(bed.directory, "restored");
    await mkdir(target);
    await repository.restore({ ...limit, snapshot: result.snapshot, target });
    const restored = join(target, result.snapshot.folder);
    await rm(join(path, "cache [a]"), { recursive: true });
    const tell = (folder: string) =>
      execFileSync(
        "sh",
        [
          "-c",
          'cd "$1" && find . -printf "%P %y %s %m %U %G %n %T@ %l\\n" | grep -av " d " | sort',
          "sh",
          folder,
        ],
        {
          encoding: "latin1",
        },
      );
    expect(tell(restored)).toBe(tell(path));
    expect(tell(restored)).toContain("n\u00ff\u00fe f 3");
    const root = (folder: string) =>
      execFileSync("sh", ["-c", 'stat -c "%a %u %g" "$1"; getfattr -d "$1" | tail -n +2', "sh", folder], {
        encoding: "utf8",
      });
    expect(root(restored)).toBe(root(path));
    expect(root(restored)).toContain('user.owner="me"');
  });

  it("tells what could not be read, and keeps the rest", async () => {
    const program = join(bed.directory, "restic-without-power");
    const without = "setpriv --bounding-set=-dac_override,-dac_read_search";
    await writeFile(program, `#!/bin/sh\nexec ${without} restic "$@"\n`, { mode: 0o755 });
    await writeFile(join(path, "closed"), "x", { mode: 0 });
    const powerless = await bed.open({ program });
    const { unread, snapshot } = await powerless.backup({
      ...limit,
      path,
      volume: "data",
      epoch: 1,
      kind: "pass",
      exclude: [],
    });
    expect(unread).toEqual([expect.stringMatching(/closed$/)]);
    expect((await repository.sizeOf({ ...limit, id: snapshot.id })).bytes).toBeGreaterThan(8 << 20);
    await rm(join(path, "closed"));
  });

  it("forgets what no policy keeps", async () => {
    const before = await repository.snapshots({ ...limit, volume: "data" });
    const forgotten = await repository.forget({ ...limit, volume: "data", keepLast: 1 });
    expect(forgotten).toEqual(before.slice(0, -1));
    expect(await repository.snapshots(limit)).toEqual(before.slice(-1));
    await repository.check({ ...limit, readData: true });
  });

  it("is damaged when a pack is not what it was", async () => {
    // Of its own bed: what is broken stays so.
    const own = await openVolumeBed();
    try {
      const broken = await own.open();
      await broken.init(limit);
      await broken.backup({ ...limit, path, volume: "data", epoch: 1, kind: "final", exclude: [] });
      const [body] = own
        .objects()
        .filter(({ key }) => key.includes("/data/"))
        .map(({ file }) => file);
      const file = join(own.directory, "store", body ?? "");
      await writeFile(file, Buffer.alloc((await readFile(file)).length));
      await expect(broken.check({ ...limit, readData: true })).rejects.toMatchObject({
        code: "copier-failed",
      });
    } finally {
      await own.close();
    }
  });

  it("takes away the lock of a dead process, and tells who holds a living one", async () => {
    const locksBefore = bed
      .objects()
      .filter(({ key: name, file }) => name.includes("/locks/") && file).length;
    const { storage, credentials, key } = bed.options;
    // Holds its lock for as long as its input is open.
    const living = spawn(
      "restic",
      ["backup", "--stdin", "-o", "s3.region=us-east-1", "-o", "s3.bucket-lookup=path"],
      {
        stdio: ["pipe", "ignore", "ignore"],
        env: {
          PATH: process.env["PATH"],
          RESTIC_REPOSITORY: `s3:${storage.endpoint}/harbor/ledger/.volumes`,
          RESTIC_CACHE_DIR: bed.options.cacheDirectory,
          RESTIC_PASSWORD: key,
          AWS_ACCESS_KEY_ID: credentials.accessKeyId,
          AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        },
      },
    );
    const ended = once(living, "exit");
    try {
      await expect
        .poll(() => bed.objects().filter(({ key: name, file }) => name.includes("/locks/") && file).length, {
          timeout: 15_000,
        })
        .toBeGreaterThan(locksBefore);
      await expect(repository.check(limit)).rejects.toMatchObject({
        code: "repository-locked",
        message: expect.stringMatching(/it is locked by PID \d+ on \S+/),
      });
    } finally {
      living.kill("SIGKILL");
      await ended;
    }
    await repository.check(limit);
  });

  it("is not asked past a deadline or a signal", async () => {
    await expect(take().then(() => repository.snapshots({ deadlineMs: 1 }))).rejects.toMatchObject({
      code: "deadline-exceeded",
    });
    const gone = AbortSignal.abort(new Error("no more"));
    await expect(repository.snapshots({ ...limit, signal: gone })).rejects.toThrow("no more");
  });

  it("says that the storage refuses the key, and neither key", async () => {
    const { credentials } = bed.options;
    const stranger = await bed.open({
      credentials: { ...credentials, secretAccessKey: "not-the-store-key" },
    });
    const error: unknown = await stranger.snapshots(limit).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "storage-credentials" });
    expect(inspect(error, { depth: 9 })).not.toMatch(/not-the-store-key|the-repository-key/);
  });
});

describe("restic", { skip: missing, meta: { needs } }, () => {
  let bed: VolumeBed;
  beforeAll(async () => {
    bed = await openVolumeBed();
  });
  afterAll(() => bed.close());

  const pretend = async (words: string): Promise<string> => {
    const program = join(bed.directory, `restic-${words.length}`);
    await writeFile(program, `#!/bin/sh\necho '${words}'\n`, { mode: 0o755 });
    return program;
  };

  it.each([
    ["missing", "/nowhere/restic", /"\/nowhere\/restic" cannot be executed \(ENOENT\)/],
    ["too old", "restic 0.12.1 compiled with go1.16", /is restic 0\.12\.1; install 0\.14 or later/],
    ["something else", "borg 1.2", /does not say that it is restic/],
  ])("that is %s is refused in words", async (_, words, message) => {
    const program = words.startsWith("/") ? words : await pretend(words);
    await expect(bed.open({ program })).rejects.toMatchObject({
      code: "copier-unfit",
      message: expect.stringMatching(message),
    });
  });
});
