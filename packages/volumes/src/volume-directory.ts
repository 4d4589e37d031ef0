import { randomBytes } from "node:crypto";
import { lstat, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AppError } from "@baton/protocol";
import type { Repository, Snapshot } from "./restic.port.ts";
import { type RunLimit, runProgram } from "./restic-process.ts";
import { readMarker, syncFolder, type VolumeMarker, writeMarker } from "./volume-marker.ts";
import { assertRoom, assertVolumePath } from "./volume-place.ts";

/**
 * What is at a volume's path. `interrupted`: a new one is whole, but not in its place yet, where the old one stands, or nothing: `finish` puts
 * it there. An application is started on `ours` alone.
 */
export type VolumeState =
  | { readonly kind: "absent" | "empty" }
  | { readonly kind: "ours"; readonly epoch: number; readonly snapshot: string | null }
  | { readonly kind: "interrupted"; readonly epoch: number; readonly snapshot: string | null }
  | { readonly kind: "foreign"; readonly found: string };

export interface VolumeDirectoryOptions {
  /** Absolute; below `root`. */
  readonly path: string;
  /** The volume's placement may use nothing outside. */
  readonly root: string;
  readonly application: string;
  readonly volume: string;
}

/**
 * One volume's folder, which nothing here ever writes into or removes: a restore makes a new one beside it, and takes its place by a rename.
 *
 * Beside `path`, in `.baton-<name>`: `marker.json` says which folder is whose, `staging-*` are restores that may be half done, `replaced-*` is
 * what stood there before. One caller at a time.
 */
export interface VolumeDirectory {
  /** @throws AppError `volume-unfit`; `volume-foreign` for a marker of somebody else */
  inspect(): Promise<VolumeState>;
  /** Takes what is there as ours, or makes an empty folder; somebody's only when `adopt` says so. Idempotent. */
  claim(params: { readonly epoch: number; readonly adopt: boolean }): Promise<void>;
  /**
   * Restores a snapshot beside the volume and lets it take its place. Idempotent: a snapshot that is the volume already stays.
   * @throws AppError `volume-foreign`, `volume-space`, before anything is written, and all of `Repository.restore`
   */
  restore(
    params: RunLimit & {
      readonly repository: Repository;
      readonly snapshot: Snapshot;
      /** Told where the whole copy is, before it takes its place; what it throws leaves the volume as it was. */
      readonly verify?: ((folder: string) => Promise<void>) | undefined;
    },
  ): Promise<void>;
  /** Brings a restore that was cut off between its renames to its end; else nothing. */
  finish(): Promise<void>;
  /** Removes what was replaced, and half-done restores. @returns how many */
  prune(): Promise<number>;
}

export function openVolumeDirectory(options: VolumeDirectoryOptions): VolumeDirectory {
  const { path, root, application, volume } = options;
  const beside = join(dirname(path), `.baton-${basename(path)}`);

  async function ownMarker(): Promise<VolumeMarker | null> {
    const marker = await readMarker(beside);
    if (marker !== null && (marker.application !== application || marker.volume !== volume))
      throw new AppError(
        "volume-foreign",
        `cannot use ${path}: it is the volume ${marker.volume} of ${marker.application}; name another path`,
      );
    return marker;
  }

  async function inspect(): Promise<VolumeState> {
    await assertVolumePath(path, root);
    const marker = await ownMarker();
    const inode = await identityOf(path);
    const { current, next } = marker ?? { current: null, next: null };
    if (next !== null && next.inode === (await identityOf(join(beside, next.staging))))
      return { kind: "interrupted", epoch: next.epoch, snapshot: next.snapshot };
    if (inode === null) return { kind: "absent" };
    const here = inode === next?.inode ? next : current;
    if (here !== null && inode === here.inode)
      return { kind: "ours", epoch: here.epoch, snapshot: here.snapshot };
    const found = await readdir(path);
    if (found.length === 0) return { kind: "empty" };
    return { kind: "foreign", found: `${found.length} entries, ${JSON.stringify(found[0])} among them` };
  }

  const refuseForeign = (found: string): never => {
    throw new AppError(
      "volume-foreign",
      `cannot use ${path}: it holds ${found}, and nothing says that it is the volume ${volume} of ${application}; empty it yourself, or adopt it`,
    );
  };

  async function mark(change: Pick<VolumeMarker, "current" | "next">): Promise<void> {
    await mkdir(beside, { mode: 0o700, recursive: true });
    await writeMarker(beside, { format: 1, application, volume, ...change });
  }

  async function finish(): Promise<void> {
    const marker = await ownMarker();
    if (marker === null || marker.next === null) return;
    const { staging, ...next } = marker.next;
    const copy = join(beside, staging);
    if ((await identityOf(copy)) === next.inode) {
      const before = await identityOf(path);
      // Anything but what the marker named came there since.
      if (before !== null && before !== marker.current?.inode && (await readdir(path)).length > 0)
        refuseForeign("what came there meanwhile");
      if (before !== null && before === marker.current?.inode)
        await rename(path, join(beside, `replaced-${marker.current.epoch}-${randomName()}`));
      await rename(copy, path);
      await syncFolder(dirname(path));
    } else if ((await identityOf(path)) !== next.inode) return;
    await mark({ current: next, next: null });
  }

  return {
    inspect,
    finish,

    async claim({ epoch, adopt }) {
      const state = await inspect();
      if (state.kind === "interrupted") await finish();
      if (state.kind === "ours" || state.kind === "interrupted") return;
      if (state.kind === "foreign" && !adopt) refuseForeign(state.found);
      if (state.kind === "absent") await mkdir(path);
      await mark({ current: { inode: (await identityOf(path)) ?? "", epoch, snapshot: null }, next: null });
    },

    async restore({ repository, snapshot, verify, ...limit }) {
      if ((await inspect()).kind === "interrupted") await finish();
      const state = await inspect();
      if (state.kind === "foreign") refuseForeign(state.found);
      if (state.kind === "ours" && state.snapshot === snapshot.id) return;
      await assertRoom(dirname(path), await repository.sizeOf({ ...limit, id: snapshot.id }));

      // A name of its own: a restore whose process we lost may still write to the one before.
      const staging = `staging-${randomName()}`;
      const target = join(beside, staging);
      await mkdir(target, { mode: 0o700, recursive: true });
      await repository.restore({ ...limit, snapshot, target });
      const copy = join(staging, snapshot.folder);
      await verify?.(join(beside, copy));
      await syncFileSystem(target, limit);
      const inode = await identityOf(join(beside, copy));
      if (inode === null)
        throw new AppError(
          "copier-failed",
          `cannot restore ${path}: the snapshot holds no ${snapshot.folder}`,
        );
      // From here on the copy is whole, on disk, and known; the marker is the moment, the renames are its consequence.
      const { current } = (await ownMarker()) ?? { current: null };
      await mark({ current, next: { inode, epoch: snapshot.epoch, snapshot: snapshot.id, staging: copy } });
      await finish();
    },

    async prune() {
      const marker = await ownMarker();
      if (marker === null || marker.next !== null) return 0;
      const old = (await readdir(beside)).filter((name) => /^(staging|replaced)-/.test(name));
      for (const name of old) await rm(join(beside, name), { recursive: true });
      return old.length;
    },
  };
}

const randomName = (): string => randomBytes(6).toString("hex");

/** Its number, and when it was made, since numbers are used again; neither is changed by a rename or a reboot. Null where nothing is. */
async function identityOf(path: string): Promise<string | null> {
  try {
    const stat = await lstat(path, { bigint: true });
    return stat.isDirectory() ? `${stat.ino}:${stat.birthtimeNs}` : "";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Node has no syncfs(2); coreutils' sync has. */
async function syncFileSystem(path: string, limit: RunLimit): Promise<void> {
  const { status } = await runProgram({
    ...limit,
    what: `write ${path} to disk`,
    command: ["sync", "--file-system", path],
    environment: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
  });
  if (status !== 0)
    throw new AppError("copier-failed", `cannot restore into ${path}: it could not be written to disk`);
}
