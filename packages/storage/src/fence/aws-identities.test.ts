import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { isAppError } from "@baton/protocol";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createAwsIdentities } from "./aws-identities.ts";
import { identityOf } from "./application-policy.ts";

/*
 * Against the shapes of requests and answers that AWS documents (STS AssumeRole; bucket policies), not against AWS.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html#API_AssumeRole_Examples
 */
const bound = { bucket: "harbor", prefix: "ledger/" };
const role = "arn:aws:iam::123456789012:role/ledger";
const timeoutMs = 5_000;
const identity = identityOf(bound, "pl-00000000000000000000", 7);

const assumed = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/ledger/${identity}</Arn>
      <AssumedRoleId>ARO123EXAMPLE123:${identity}</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>
      <SecretAccessKey>example-secret</SecretAccessKey>
      <SessionToken>example-token</SessionToken>
      <Expiration>2026-11-27T23:28:33.359Z</Expiration>
    </Credentials>
    <PackedPolicySize>6</PackedPolicySize>
  </AssumeRoleResult>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</AssumeRoleResponse>`;
const denied = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error>
  <RequestId>1</RequestId></ErrorResponse>`;

let server: http.Server;
let answer: { status: number; body: string };
let asked: { readonly form: URLSearchParams; readonly authorization: string }[];
let document: string | null;
let endpoint: string;
beforeEach(async () => {
  answer = { status: 200, body: assumed };
  asked = [];
  document = null;
  server = http.createServer((request, response) => {
    const authorization = String(request.headers.authorization);
    void text(request).then((body) => {
      asked.push({ form: new URLSearchParams(body), authorization });
      response.writeHead(answer.status, { "content-type": "text/xml" }).end(answer.body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** @param params.write what the bucket makes of a policy; by default it keeps it, as S3 does, with a list of one as its item. */
const create = (params: { readonly write?: (text: string) => string | null } = {}) =>
  createAwsIdentities({
    ...bound,
    endpoint,
    region: "eu-central-1",
    admin: async () => ({ accessKeyId: "AKIAEXAMPLE", secretAccessKey: "secret" }),
    role,
    sessionSeconds: 3_600,
    policy: {
      read: async () => document,
      write: async ({ document: text }) => {
        document = (params.write ?? asS3)(text);
      },
    },
  });
const asS3 = (text: string): string =>
  JSON.stringify(JSON.parse(text), (_name, value: unknown) =>
    Array.isArray(value) && value.length === 1 && typeof value[0] === "string" ? (value[0] as string) : value,
  );
const statements = (): Record<string, unknown>[] =>
  (JSON.parse(document ?? "{}") as { Statement: Record<string, unknown>[] }).Statement;
const others = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Sid: "Theirs", Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: "*" }],
});

it("gives the key of a session that is named after the identity and narrowed to the prefix", async () => {
  const identities = create();
  expect(await identities.issue({ identity, timeoutMs })).toEqual({
    accessKeyId: "ASIAIOSFODNN7EXAMPLE",
    secretAccessKey: "example-secret",
    sessionToken: "example-token",
  });
  const [{ form, authorization } = { form: new URLSearchParams(), authorization: "" }] = asked;
  expect(Object.fromEntries(form)).toMatchObject({
    Action: "AssumeRole",
    Version: "2011-06-15",
    RoleArn: role,
    RoleSessionName: identity,
    DurationSeconds: "3600",
  });
  expect(form.get("Policy")).toContain("arn:aws:s3:::harbor/ledger/*");
  expect(authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE\/\d{8}\/eu-central-1\/sts\//);
  identities.close();
});

it("denies a session's name everything in the bucket, beside what others wrote there", async () => {
  document = others;
  const identities = create();
  await identities.disable({ identity, timeoutMs });
  await identities.disable({ identity: `${identity}0`, timeoutMs });
  await identities.disable({ identity, timeoutMs });
  expect(statements()).toMatchObject([
    { Sid: "Theirs" },
    {
      Sid: "BatonFence",
      Effect: "Deny",
      Principal: "*",
      Action: "s3:*",
      Resource: ["arn:aws:s3:::harbor", "arn:aws:s3:::harbor/*"],
      Condition: { StringLike: { "aws:userid": [`*:${identity}`, `*:${identity}0`] } },
    },
  ]);
  await expect(identities.issue({ identity, timeoutMs })).rejects.toMatchObject({ code: "fence-standing" });
  // A key to try with is one of a new session: the name is what is denied.
  expect(await identities.keyOf({ identity, timeoutMs })).toMatchObject({
    accessKeyId: "ASIAIOSFODNN7EXAMPLE",
  });
  identities.close();
});

it("denies nobody else", async () => {
  const identities = create();
  await identities.disable({ identity, timeoutMs });
  const other = identityOf(bound, "pl-00000000000000000001", 7);
  expect(await identities.issue({ identity: other, timeoutMs })).toMatchObject({
    sessionToken: "example-token",
  });
  identities.close();
});

it("says when the policy does not stay as it was written", async () => {
  const identities = create({ write: () => others });
  await expect(identities.disable({ identity, timeoutMs })).rejects.toMatchObject({ code: "storage-failed" });
  identities.close();
});

it.each(["not JSON", "{}", '{"Statement":[{"Sid":"BatonFence","Condition":{"Null":{}}}]}'])(
  "writes nothing over a policy that it cannot read: %s",
  async (text) => {
    document = text;
    const identities = create();
    await expect(identities.disable({ identity, timeoutMs })).rejects.toMatchObject({
      code: "storage-failed",
    });
    expect(document).toBe(text);
    identities.close();
  },
);

it.each([
  [403, denied, "storage-credentials"],
  [503, "<html>later</html>", "storage-unreachable"],
  [200, assumed.replace(/<Credentials>[^]*<\/Credentials>/, ""), "storage-failed"],
] as const)("tells an answer of %i from a key", async (status, body, code) => {
  answer = { status, body };
  const identities = create();
  const error: unknown = await identities.issue({ identity, timeoutMs }).catch((thrown: unknown) => thrown);
  expect(isAppError(error) && error.code).toBe(code);
  identities.close();
});

it("asks once, and no longer than it may", async () => {
  const hanging = http.createServer(() => undefined).listen(0, "127.0.0.1");
  await once(hanging, "listening");
  endpoint = `http://127.0.0.1:${(hanging.address() as AddressInfo).port}`;
  const identities = create();
  await expect(identities.issue({ identity, timeoutMs: 200 })).rejects.toMatchObject({
    code: "storage-unreachable",
  });
  identities.close();
  hanging.closeAllConnections();
  hanging.close();
});
