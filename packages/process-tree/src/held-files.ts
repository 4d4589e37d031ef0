import { readlinkSync, statSync } from "node:fs";
import { livingFolders, readDescriptors, unlessGone } from "./descriptors.ts";
import type { Descriptor } from "./descriptors.ts";
import { errorCode, readProcFile } from "./proc-file.ts";
import { deviceOf, isBelow, mountOf, placeOn, readMounts } from "./mounts.ts";
import type { Mount, Place } from "./mounts.ts";
import type { ProcessStat } from "./process-stat.ts";

/** Read once: Node offers no way into another namespace. */
let ownNamespace: string | undefined;

/** A folder by where it is on its file system, and after that what is mounted below it. */
export interface Folder {
  /** Without symbolic links. */
  readonly path: string;
  readonly places: readonly [Place, ...Place[]];
  /** What stat calls its file system. */
  readonly statDevice: string;
}

/** An open file that cannot be placed, as no mount that is left shows it. */
export interface StrayFile {
  readonly target: string;
  readonly device: string;
  readonly inode: string;
  readonly deleted: boolean;
}

export type HeldFiles =
  /** `held`: what is open (`… open`) or mapped (`… mapped`). `strays`: on the file system of a folder, but where? */
  | { readonly kind: "read"; readonly held: readonly string[]; readonly strays: readonly StrayFile[] }
  | { readonly kind: "vanished" }
  | { readonly kind: "unreadable"; readonly reason: string };

/** @throws Error when no mount shows the path */
export function folderAt(path: string, dev: bigint, mounts: readonly Mount[]): Folder {
  const mount = mountOf(path, mounts);
  if (mount === undefined) throw new Error(`cannot find the file system of ${path}: no mount shows it`);
  const below = mounts.filter(({ point }) => point !== mount.point && isBelow(point, path));
  return {
    path,
    places: [placeOn(mount, path), ...below.map((inner) => placeOn(inner, inner.point))],
    statDevice: deviceOf(dev),
  };
}

/**
 * What one process holds open or mapped below the folders. Files are compared by file system and place in it, as the
 * paths of a process in another mount namespace (a container beside us) mean other files than ours.
 */
export function filesHeldBy(
  stat: ProcessStat,
  folders: readonly Folder[],
  ownMounts: readonly Mount[],
): HeldFiles {
  const open = readDescriptors(stat);
  if (open.kind !== "read") return open;
  try {
    const [process] = livingFolders(stat);
    const mounts = process === undefined ? null : mountsOf(process, ownMounts);
    if (mounts === null) return { kind: "vanished" };
    const places = folders.flatMap((folder) => folder.places);
    const isHeld = ({ device, path }: Place): boolean =>
      places.some((place) => place.device === device && isBelow(path, place.path));
    const held: string[] = [];
    const strays: StrayFile[] = [];
    const devices = folders.flatMap(({ statDevice }) => [statDevice, ...places.map(({ device }) => device)]);
    for (const descriptor of open.descriptors) {
      if (!descriptor.target.startsWith("/")) continue;
      const place = placeOf(descriptor, [...ownMounts, ...mounts]);
      if (place === undefined) {
        // Of a third namespace, taken away (umount --lazy), or the kernel's own, such as memfd.
        const file = unlessGone(() => statSync(descriptor.path, { bigint: true }));
        const device = file === null ? "" : deviceOf(file.dev);
        if (file !== null && devices.includes(device))
          strays.push({
            target: descriptor.target,
            device,
            inode: String(file.ino),
            deleted: file.nlink === 0n,
          });
      } else if (isHeld(place)) held.push(`${descriptor.target} open`);
    }
    for (const target of mappedFiles(stat)) {
      const path = withoutMark(target);
      const mount = mountOf(path, mounts);
      if (mount !== undefined && isHeld(placeOn(mount, path))) held.push(`${target} mapped`);
    }
    return { kind: "read", held, strays };
  } catch (error) {
    const reason = errorCode(error);
    if (reason === "EACCES" || reason === "EPERM") return { kind: "unreadable", reason };
    throw error;
  }
}

/** By the mount through which it was opened, which a path alone does not tell where one mount hides another. */
function placeOf({ path, target }: Descriptor, mounts: readonly Mount[]): Place | undefined {
  const info = readProcFile(path.replace(/\/fd\/(\d+)$/, "/fdinfo/$1"));
  const [, id] = /^mnt_id:\s*(\d+)$/m.exec(info ?? "") ?? [];
  const file = withoutMark(target);
  const mount = mounts.find((one) => one.id === id && isBelow(file, one.point));
  return mount && placeOn(mount, file);
}

/** Every file that is mapped, through an fd or without one, as programs and libraries are. */
function mappedFiles(stat: ProcessStat): ReadonlySet<string> {
  const files = new Set<string>();
  for (const process of livingFolders(stat)) {
    const maps = readProcFile(`${process}/maps`) ?? "";
    for (const [, file = ""] of maps.matchAll(/^\S+ \S+ \S+ \S+ \d+ +(\/.*)$/gm))
      files.add(file.replaceAll("\\012", "\n"));
  }
  return files;
}

/** The mounts that a process sees: ours, as with most, or its own. Null when it ended. */
function mountsOf(process: string, ownMounts: readonly Mount[]): readonly Mount[] | null {
  const namespace = unlessGone(() => readlinkSync(`${process}/ns/mnt`));
  ownNamespace ??= readlinkSync("/proc/self/ns/mnt");
  return namespace === ownNamespace ? ownMounts : readMounts(process);
}

/** A file may also be named so; then it loses its name's end, but stays where it is. */
const withoutMark = (target: string): string => target.replace(/ \(deleted\)$/, "");
