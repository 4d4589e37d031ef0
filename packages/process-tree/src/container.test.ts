import { afterEach, describe, expect, it } from "vitest";
import { containerOf, parseContainer, sameContainer } from "./container.ts";
import { endFixtures, startProgram, until } from "./fixtures/start-fixture.ts";
import { identify } from "./process-identity.ts";

afterEach(endFixtures);

const ID = "4bdc6f8ec1615a8022a2d22c5770dbbd0123456789abcdef0123456789abcdef";
const OTHER = ID.replaceAll("4", "5");

describe("containerOf", () => {
  it("is the same for a child, and null for what is gone", async () => {
    const { root } = await startProgram("sleep", ["300"], {});
    expect(containerOf(root.pid)).toBe(containerOf("self"));
    expect(sameContainer(root.pid, "self")).toBe(true);
    process.kill(root.pid, "SIGKILL");
    await until(async () => (await identify(root.pid)) === null, "the process is reaped");
    expect(containerOf(root.pid)).toBeNull();
    expect(sameContainer(root.pid, "self")).toBeNull();
  });

  it("may be asked of process 1 by anybody", () => {
    expect(containerOf(1)).toEqual(expect.stringMatching(/./));
  });
});

describe("parseContainer", () => {
  it("finds the id that Docker, containerd, CRI-O and Podman give, with any cgroup driver", () => {
    for (const path of [
      `/docker/${ID}`,
      `/system.slice/docker-${ID}.scope`,
      `/kubepods/burstable/pod0b7d2c2c-7a0e-4a9b-8f5e-6f7a1c2d3e4f/${ID}`,
      `/kubepods.slice/kubepods-pod0b7d2c2c_7a0e.slice/cri-containerd-${ID}.scope`,
      `/kubepods.slice/crio-${ID}.scope/container`,
      `/machine.slice/libpod-${ID}.scope/container/init.scope`,
      `/../${ID}`,
      `/../../pod0b7d2c2c/cri-containerd-${ID}.scope/below`,
    ]) {
      expect(parseContainer(`0::${path}\n`)).toBe(ID);
    }
    expect(
      parseContainer(`0::/ecs/4bdc6f8ec1615a8022a2d22c5770dbbd/4bdc6f8ec1615a8022a2d22c5770dbbd-123\n`),
    ).toBe("4bdc6f8ec1615a8022a2d22c5770dbbd-123");
  });

  it("takes the innermost of nested containers", () => {
    expect(parseContainer(`0::/docker/${ID}/docker/${OTHER}\n`)).toBe(OTHER);
  });

  it("tells neighbours apart in a private namespace, whatever groups they make below", () => {
    const name = (path: string): string => parseContainer(`0::${path}\n`);
    expect(name("/")).toBe("/");
    expect(name("/init.scope")).toBe("/");
    expect(name("/../app")).toBe("/../app");
    expect(name("/../app/worker/7")).toBe("/../app");
    expect(name("/../sidecar")).not.toBe(name("/../app"));
    expect(name("/../../pod2/app/worker")).toBe("/../../pod2/app");
    expect(name("/..")).toBe("/..");
  });

  it("reads hierarchies of version 1, and both versions side by side", () => {
    const v1 = (path: string): string => `12:pids:${path}\n5:cpu,cpuacct:${path}\n1:name=systemd:${path}\n`;
    expect(parseContainer(v1(`/docker/${ID}`))).toBe(ID);
    expect(parseContainer(`${v1(`/docker/${ID}`)}0::/\n`)).toBe(ID);
    expect(parseContainer(`5:cpu:/docker/${OTHER}\n0::/docker/${ID}\n`)).toBe(ID);
    expect(parseContainer(`7:devices:/docker/${ID}\n1:name=systemd:/\n`)).toBe(ID);
    expect(parseContainer(`4:memory:/user.slice\n0::/\n`)).toBe("/");
  });

  it("throws for what is no list of cgroups, instead of calling it our own container", () => {
    for (const text of ["", "\n", "0:/", "x", "0::relative\n"])
      expect(() => parseContainer(text)).toThrow("cannot read a process's cgroup");
  });
});
