import { execFileSync, spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AgentConfig, agentConfigSchema, parseAs } from "@baton/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readKrakeCredentials } from "./krake-credentials.ts";

const secret = "s3cr3t-token-of-43-characters";
const url = "https://krake.example:8443/kubernetes/namespaces/system:admin/applications/demo/shutdown";
/** Found on PATH; a suite that misses it says so. */
const program = "openssl";
const missing = spawnSync(program, ["version"]).error !== undefined;
const needs = { part: "openssl", reason: "no openssl on PATH to make certificates with" };

let directory = "";
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "baton-krake-"))));
afterEach(() => rmSync(directory, { recursive: true }));

function configOf(
  change: Partial<NonNullable<AgentConfig["krake"]>> = {},
): NonNullable<AgentConfig["krake"]> {
  const { krake } = parseAs(
    agentConfigSchema,
    {
      version: 1,
      placement: "pl-00000000000000000000",
      application: "demo",
      stateDirectory: directory,
      listen: null,
      hook: {},
      readiness: null,
      workload: null,
      krake: { listen: { host: "127.0.0.1", port: 0 } },
    },
    "it",
  );
  if (krake === null) throw new Error("no krake");
  return { ...krake, ...change };
}

const refusal = (environment: Record<string, string>, change = {}): Error => {
  try {
    readKrakeCredentials(configOf({ certificateDirectories: [directory], ...change }), environment);
  } catch (error) {
    return error as Error;
  }
  throw new Error("was not refused");
};

describe("what a Krake injects", () => {
  it("C12, C14: is looked for under the names and at the places of every Krake since 2022", () => {
    expect(configOf()).toMatchObject({
      deadlineMs: 30_000,
      urlVariable: "KRAKE_SHUTDOWN_URL",
      tokenVariables: ["KRAKE_SHUTDOWN_TOKEN", "KRAKE_TOKEN"],
      certificateDirectories: [
        "/etc/krake_shutdown_cert",
        "/etc/krake_shutdown_certs",
        "/etc/krake_cert",
        "/etc/krake_certs",
      ],
    });
  });

  it("is used to the letter, the newer token first", () => {
    const environment = { KRAKE_SHUTDOWN_URL: url, KRAKE_TOKEN: "old", KRAKE_SHUTDOWN_TOKEN: secret };
    expect(readKrakeCredentials(configOf({ certificateDirectories: [] }), environment)).toEqual({
      url,
      token: secret,
      tls: null,
    });
    const early = { KRAKE_SHUTDOWN_URL: url, KRAKE_SHUTDOWN_TOKEN: "", KRAKE_TOKEN: "old" };
    expect(readKrakeCredentials(configOf({ certificateDirectories: [] }), early).token).toBe("old");
  });

  it("that is not there is named, with what to do", () => {
    expect(refusal({ KRAKE_SHUTDOWN_TOKEN: secret })).toMatchObject({
      code: "invalid-configuration",
      message: expect.stringContaining("KRAKE_SHUTDOWN_URL is not set") as string,
    });
    expect(refusal({ KRAKE_SHUTDOWN_URL: url }).message).toContain("KRAKE_SHUTDOWN_TOKEN or KRAKE_TOKEN");
  });

  it.each([
    "krake",
    "ftp://krake/x",
    "https://user:pw@krake/x",
    "http://",
    "http://a b/",
    "http://krake/a b",
    "http://krake/\r\nX: y",
  ])("and is no address (%j) is refused without being repeated", (wrong) => {
    const { message } = refusal({ KRAKE_SHUTDOWN_URL: wrong, KRAKE_SHUTDOWN_TOKEN: secret });
    expect(message).toContain("KRAKE_SHUTDOWN_URL holds no http or https address");
    expect(message).not.toContain(secret);
    expect(message).not.toContain("user");
  });
});

describe("Krake's certificates", { skip: missing, meta: { needs } }, () => {
  const openssl = (...args: string[]): void =>
    void execFileSync(program, args, { cwd: directory, stdio: "ignore" });
  const environment = { KRAKE_SHUTDOWN_URL: url, KRAKE_SHUTDOWN_TOKEN: secret };
  /** Root, intermediate and a leaf without what is between them, as Krake mounts them. */
  const issue = (): void => {
    const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl("req", "-x509", ...newKey, "-subj", "/CN=root", "-keyout", "root.key", "-out", "root.pem");
    for (const [name, issuer] of [
      ["middle", "root"],
      ["leaf", "middle"],
    ] as const) {
      openssl(
        "req",
        "-new",
        ...newKey,
        "-subj",
        `/CN=${name}`,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.csr`,
      );
      const signer = ["-CA", `${issuer}.pem`, "-CAkey", `${issuer}.key`, "-CAcreateserial"];
      openssl("x509", "-req", "-in", `${name}.csr`, ...signer, "-out", `${name}.pem`);
    }
    const text = (name: string): string => readFileSync(join(directory, name), "utf8");
    writeFileSync(join(directory, "ca-bundle.pem"), text("root.pem") + text("middle.pem"));
    writeFileSync(join(directory, "cert.pem"), text("leaf.pem"));
    writeFileSync(join(directory, "key.pem"), text("leaf.key"));
  };

  it("C11: are sent with the intermediate and without the root", () => {
    issue();
    const { tls } = readKrakeCredentials(configOf({ certificateDirectories: [directory] }), environment);
    const sent = (tls?.cert ?? "").match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [];
    expect(sent.map((pem) => new X509Certificate(pem).subject)).toEqual(["CN=leaf", "CN=middle"]);
    expect(tls?.ca).toBe(readFileSync(join(directory, "ca-bundle.pem"), "utf8"));
  });

  it("are those of the first directory that is there, and not looked at without TLS", () => {
    issue();
    const second = join(directory, "second");
    mkdirSync(second);
    const directories = { certificateDirectories: [join(directory, "nowhere"), directory, second] };
    expect(readKrakeCredentials(configOf(directories), environment).tls).not.toBeNull();
    const plain = { ...environment, KRAKE_SHUTDOWN_URL: url.replace("https", "http") };
    expect(readKrakeCredentials(configOf({ certificateDirectories: [second] }), plain).tls).toBeNull();
  });

  it.each([
    ["key.pem", null, "key.pem cannot be read (ENOENT)"],
    ["cert.pem", "nonsense", "cert.pem holds no certificate"],
    [
      "ca-bundle.pem",
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
      "ca-bundle.pem holds something",
    ],
    [
      "key.pem",
      `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END PRIVATE KEY-----`,
      "key.pem is not the key",
    ],
  ])("end the start when %s is wrong, and nothing of it is told", (name, content, words) => {
    issue();
    if (content === null) rmSync(join(directory, name));
    else writeFileSync(join(directory, name), content);
    const error = refusal(environment);
    expect(error).toMatchObject({ code: "secret-unavailable" });
    expect(error.message).toContain(words);
    expect(error.message).not.toContain(secret);
  });
});
