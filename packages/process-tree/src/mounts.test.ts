import { statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { deviceOf, isBelow, mountOf, placeOn, readMounts } from "./mounts.ts";
import type { Mount } from "./mounts.ts";

const mount = (id: string, root: string, point: string): Mount => ({ id, device: `0:${id}`, root, point });

describe("readMounts", () => {
  it("shows where a file is, with the device that stat names", () => {
    const mounts = readMounts("/proc/self") ?? [];
    // procfs has one device, whatever file systems the machine has.
    const found = mountOf("/proc/self", mounts);
    expect(found?.point).toBe("/proc");
    expect(found?.device).toBe(deviceOf(statSync("/proc", { bigint: true }).dev));
  });

  it("gives null for a process that is gone", () => {
    expect(readMounts("/proc/1073741824")).toBeNull();
  });
});

describe("mountOf", () => {
  it("takes the deepest, of several on one point the last, and none that only begins alike", () => {
    const mounts = [
      mount("1", "/", "/"),
      mount("2", "/", "/data"),
      mount("3", "/a", "/data"),
      mount("4", "/", "/dat"),
    ];
    expect(mountOf("/data/x", mounts)?.id).toBe("3");
    expect(mountOf("/data", mounts)?.id).toBe("3");
    expect(mountOf("/data2", mounts)?.id).toBe("1");
    expect(mountOf("/x", [])).toBeUndefined();
  });
});

describe("placeOn", () => {
  it("gives the place on the file system, whatever is mounted where", () => {
    expect(placeOn(mount("1", "/", "/"), "/a/b").path).toBe("/a/b");
    expect(placeOn(mount("1", "/", "/data"), "/data/b").path).toBe("/b");
    expect(placeOn(mount("1", "/volumes/7", "/data"), "/data/b").path).toBe("/volumes/7/b");
    expect(placeOn(mount("1", "/volumes/7", "/data"), "/data").path).toBe("/volumes/7");
    expect(placeOn(mount("1", "/", "/data"), "/data")).toEqual({ device: "0:1", path: "/" });
  });
});

describe("isBelow", () => {
  it("compares whole names", () => {
    expect(isBelow("/data/x", "/data")).toBe(true);
    expect(isBelow("/data", "/data")).toBe(true);
    expect(isBelow("/database", "/data")).toBe(false);
    expect(isBelow("/data", "/")).toBe(true);
  });
});

describe("deviceOf", () => {
  it("takes device numbers apart as glibc does", () => {
    expect(deviceOf(0xfe00n)).toBe("254:0");
    expect(deviceOf(0x1en)).toBe("0:30");
    expect(deviceOf(0x10_002cn)).toBe("0:300");
    expect(deviceOf(0x1000_00f0_ff01n)).toBe("4351:3841");
  });
});
