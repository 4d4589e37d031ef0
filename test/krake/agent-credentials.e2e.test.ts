import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { useKrakeBed } from "./agent-bed.ts";
import { createAuthority } from "./certificates.ts";
import type { Krake } from "./krake.ts";

const { deploy } = useKrakeBed();
const patience = 30_000;
const isReady = ({ state }: Krake): boolean => state === "READY_FOR_ACTION";
const strict = { tls: true, anonymous: false, mayConfirm: ["system:shutdown-hook"] } as const;
const places = ["krake_shutdown_cert", "krake_shutdown_certs", "krake_cert", "krake_certs"];

/** What mounts Krake's certificates at one of its places; the others are not there. */
const mountedAt =
  (place: string, spoil: (folder: string) => Promise<void> = async () => {}) =>
  async (krake: Krake, directory: string) => {
    const root = join(directory, Math.random().toString(36).slice(2));
    await krake.writeCertificates(join(root, place));
    await spoil(join(root, place));
    return { certificateDirectories: places.map((name) => join(root, name)) };
  };

describe("a Krake that speaks TLS and wants a certificate", () => {
  it("C11: knows the agent by a leaf of X.509 v4 and the intermediate that comes with it", async () => {
    const { krake, order, recorded } = await deploy({ injects: mountedAt("krake_cert") }, strict);
    await order();
    await recorded("confirmed");
    expect(krake.confirms.map(({ user, status }) => [user, status])).toEqual([["system:shutdown-hook", 200]]);
  });

  it("C11: hears nothing, the token least of all, when it is not by the authority of the bundle", async () => {
    const injects = mountedAt("krake_cert", async (folder) => {
      const { root, intermediate } = await createAuthority();
      await writeFile(join(folder, "ca-bundle.pem"), root + intermediate);
    });
    const { krake, agent, order } = await deploy({ injects }, strict);
    await order();
    await agent.until("the failure is told", () => agent.output().includes("has not taken the confirmation"));
    expect(agent.output()).toContain("certificate");
    expect(krake.confirms).toEqual([]);
    expect(agent.journal()?.krake?.state).toBe("pending");
  });

  it.each(places)("C12: finds its certificates in %s", async (place) => {
    const { krake, order } = await deploy({ injects: mountedAt(place) }, strict);
    await order();
    await krake.until(isReady, patience);
    expect(krake.confirms[0]?.user).toBe("system:shutdown-hook");
  });
});

describe("what a Krake injects", () => {
  it("C12: is found under the names that an installation chose", async () => {
    const { krake, order } = await deploy({
      injects: async () => ({ urlVariable: "MY_URL", tokenVariables: ["MY_TOKEN"] }),
      variables: ({ url, token }) => ({ MY_URL: url, MY_TOKEN: token }),
    });
    await order();
    await krake.until(isReady, patience);
    expect(JSON.parse(krake.confirms[0]?.body ?? "")).toMatchObject({ token: krake.token });
  });

  it("C14: may be the one token of an early Krake, KRAKE_TOKEN", async () => {
    const { krake, order } = await deploy({
      variables: ({ url, token }) => ({ KRAKE_SHUTDOWN_URL: url, KRAKE_TOKEN: token }),
    });
    await order();
    await krake.until(isReady, patience);
    expect(JSON.parse(krake.confirms[0]?.body ?? "")).toMatchObject({ token: krake.token });
  });

  it("C17: is nowhere but in the confirmation: no log, no file, no argument, not in the application", async () => {
    const { krake, agent, order, recorded } = await deploy();
    const environment = await (await fetch(`${agent.applicationUrl}/environment`)).text();
    const { pid = 0 } = agent.child;
    const seen = [environment, await readFile(`/proc/${pid}/cmdline`, "utf8")];
    // Refusals, resets and what is no HTTP at all come with words of their own.
    krake.fail(503, "reset", "conflict", { observe: "RUNNING" }, 401);
    await order();
    await recorded("refused");
    await order();
    await recorded("confirmed");
    const names = await readdir(join(agent.directory, "state"), { recursive: true, withFileTypes: true });
    for (const entry of names)
      if (entry.isFile()) seen.push(await readFile(join(entry.parentPath, entry.name), "utf8"));
    seen.push(agent.output());
    expect(krake.confirms.at(-1)?.body).toContain(krake.token);
    expect(environment).not.toContain("KRAKE_");
    for (const text of seen) expect(text.includes(krake.token)).toBe(false);
    // The answers carry the whole record, with a key in clear.
    expect(agent.output()).not.toContain("shutdown_token");
  });
});
