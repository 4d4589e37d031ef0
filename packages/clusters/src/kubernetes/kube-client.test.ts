import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { FakeAnswer } from "../fixtures/fake-engine.ts";
import {
  type FakeKube,
  type FakeKubeCall,
  fakeToken,
  kubeStatus,
  startFakeKube,
} from "../fixtures/fake-kube.ts";
import { openKubeClient } from "./kube-client.ts";

let fake: FakeKube | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

const signal = AbortSignal.timeout(60_000);
const pod = { apiVersion: "v1", kind: "Pod", namespace: "n", name: "p" };
const object = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "n", uid: "u1", resourceVersion: "7" },
};

const open = async (answer: FakeAnswer | ((call: FakeKubeCall) => FakeAnswer), context?: string) => {
  const server = await startFakeKube(typeof answer === "function" ? answer : () => answer);
  fake = server;
  return { server, client: openKubeClient({ kubeconfig: server.kubeconfig, context }) };
};

const failureOf = async (
  call: Promise<unknown>,
): Promise<{ code: string; message: string; meta: unknown }> => {
  const error = await call.then(
    () => expect.unreachable("the call fails"),
    (thrown: unknown) => thrown,
  );
  expect(String((error as Error).stack) + JSON.stringify(error)).not.toContain(fakeToken);
  return error as { code: string; message: string; meta: unknown };
};

describe("an object", () => {
  it("is asked for with the credential, by its kind's path", async () => {
    const { client, server } = await open({ body: object });
    expect(await client.get({ ...pod, signal })).toEqual(object);
    expect(server.calls).toMatchObject([
      { line: "GET /api/v1/namespaces/n/pods/p", headers: { authorization: `Bearer ${fakeToken}` } },
    ]);
  });

  it("is absent only by the API server's word on that very object", async () => {
    const absent = { message: 'pods "p" not found', details: { name: "p", kind: "pods" } };
    const { client } = await open(kubeStatus(404, "NotFound", absent));
    expect(await client.get({ ...pod, signal })).toBeNull();
  });

  it("of a group beside the core is absent by its kind and that group", async () => {
    const details = { name: "p", kind: "deployments", group: "apps" };
    const { client } = await open(kubeStatus(404, "NotFound", { details }));
    const deployment = { apiVersion: "apps/v1", kind: "Deployment", namespace: "n", name: "p", signal };
    expect(await client.get(deployment)).toBeNull();
    expect((await failureOf(client.get({ ...pod, signal }))).code).toBe("cluster-unavailable");
  });

  it.each<[string, FakeAnswer]>([
    ["a proxy's 404", { status: 404, body: "<html>" }],
    ["a 404 on the kind", kubeStatus(404, "NotFound", { details: {} })],
    ["a 404 on another one", kubeStatus(404, "NotFound", { details: { name: "q", kind: "pods" } })],
    ["no JSON", { body: "<html>" }],
    ["something else", { body: { hello: "world" } }],
    ["a failure", kubeStatus(500, "InternalError", { message: "etcdserver: request timed out" })],
  ])("is not known by %s", async (_, answer) => {
    const { client } = await open(answer);
    const { code, message } = await failureOf(client.get({ ...pod, signal }));
    expect(code).toBe("cluster-unavailable");
    expect(message).toMatch(/^cannot get Pod n\/p: /);
  });

  it("of a kind that is not served is an error, which can be asked about before", async () => {
    const { client } = await open(kubeStatus(404, "NotFound"));
    const kind = { apiVersion: "argoproj.io/v1alpha1", kind: "Application" };
    expect(await client.serves({ ...kind, signal })).toBe(false);
    expect(await client.serves({ apiVersion: "apps/v1", kind: "Deployment", signal })).toBe(true);
    const { message } = await failureOf(client.list({ ...kind, signal }));
    expect(message).toContain("has no kind Application in argoproj.io/v1alpha1");
  });
});

describe("a list", () => {
  it("is whole, however many pages it takes, and its items have their kind", async () => {
    const { client, server } = await open(({ line }) => ({
      body: line.includes("continue=")
        ? { metadata: {}, items: [{ metadata: { name: "two" } }] }
        : { metadata: { continue: "c1" }, items: [{ metadata: { name: "one" } }] },
    }));
    const found = await client.list({ apiVersion: "v1", kind: "Pod", namespace: "n", labels: "a=b", signal });
    expect(found).toMatchObject([
      { kind: "Pod", metadata: { name: "one" } },
      { kind: "Pod", metadata: { name: "two" } },
    ]);
    expect(server.calls.map(({ line }) => line)).toEqual([
      "GET /api/v1/namespaces/n/pods?limit=500&labelSelector=a%3Db",
      "GET /api/v1/namespaces/n/pods?limit=500&labelSelector=a%3Db&continue=c1",
    ]);
  });

  it("of the whole cluster names no namespace", async () => {
    const { client, server } = await open({ body: { items: null } });
    expect(await client.list({ apiVersion: "apps/v1", kind: "Deployment", signal })).toEqual([]);
    expect(await client.list({ apiVersion: "v1", kind: "Node", namespace: "n", signal })).toEqual([]);
    expect(server.calls.map(({ line }) => line)).toEqual([
      "GET /apis/apps/v1/deployments?limit=500",
      "GET /api/v1/nodes?limit=500",
    ]);
  });
});

describe("a change", () => {
  it("is applied as baton and without force; a field of somebody else is a conflict", async () => {
    const message = 'Apply failed with 1 conflict: conflict with "kubectl": .spec.x';
    const { client, server } = await open(kubeStatus(409, "Conflict", { message }));
    const failure = await failureOf(client.apply({ object, signal }));
    expect(failure).toMatchObject({ code: "placement-conflict" });
    expect(failure.message).toContain('conflict with "kubectl"');
    expect(server.calls).toMatchObject([
      {
        line: "PATCH /api/v1/namespaces/n/pods/p?fieldManager=baton&force=false",
        headers: { "content-type": "application/apply-patch+yaml" },
        body: object,
      },
    ]);
  });

  it("makes no object where one is", async () => {
    const { client } = await open(kubeStatus(409, "AlreadyExists"));
    expect(await client.create({ object, signal })).toBeNull();
  });

  it("of an object as it was seen is null when it has changed since", async () => {
    const { client, server } = await open(kubeStatus(409, "Conflict"));
    const patch = { metadata: { annotations: { a: "b" } } };
    expect(await client.patch({ ...pod, seen: object, patch, signal })).toBeNull();
    expect(server.calls[0]?.body).toEqual({
      metadata: { annotations: { a: "b" }, uid: "u1", resourceVersion: "7" },
    });
  });

  it("deletes the object of one UID and no other", async () => {
    const { client, server } = await open(
      kubeStatus(409, "Conflict", { message: "Precondition failed: UID" }),
    );
    expect(await client.delete({ ...pod, uid: "u1", signal })).toBe(false);
    expect(server.calls[0]).toMatchObject({
      line: "DELETE /api/v1/namespaces/n/pods/p",
      body: { preconditions: { uid: "u1" } },
    });
  });

  it("that is refused for a secret does not quote it", async () => {
    const { client } = await open(
      kubeStatus(422, "Invalid", { message: `data: ${fakeToken} is not base64` }),
    );
    const { message } = await failureOf(client.apply({ object: { ...object, kind: "Secret" }, signal }));
    expect(message).toMatch(/said 422$/);
  });
});

describe("a refusal", () => {
  it("by RBAC names verb, resource and namespace", async () => {
    const { client } = await open(kubeStatus(403, "Forbidden", { message: 'User "me" cannot' }));
    const failure = await failureOf(
      client.get({ apiVersion: "apps/v1", kind: "Deployment", namespace: "n", name: "d", signal }),
    );
    expect(failure).toMatchObject({
      code: "cluster-unavailable",
      message:
        'cannot get Deployment n/d: "get" of deployments.apps in namespace n is not allowed; grant it by a role',
      meta: { status: 403, verb: "get", resource: "deployments.apps", namespace: "n" },
    });
  });

  it("by a quota says what is used up", async () => {
    const message =
      'pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1';
    const { client } = await open(kubeStatus(403, "Forbidden", { message }));
    expect((await failureOf(client.create({ object, signal }))).message).toContain("exceeded quota: q");
  });

  it("of the credential says to renew it", async () => {
    const { client } = await open(kubeStatus(401, "Unauthorized"));
    expect((await failureOf(client.get({ ...pod, signal }))).message).toContain("renew it");
  });
});

describe("a kubeconfig", () => {
  it("without the context names those that it has", async () => {
    const { client } = await open({}, "nowhere");
    const { message } = await failureOf(client.get({ ...pod, signal }));
    expect(message).toContain('there is no context "nowhere"');
    expect(message).toContain('"here", "plugged", "elsewhere"');
  });

  it("whose context has no cluster is refused", async () => {
    const { client } = await open({}, "elsewhere");
    expect((await failureOf(client.get({ ...pod, signal }))).message).toContain(
      'no context "elsewhere" with a cluster',
    );
  });

  it("that is no YAML, or not there, is told of without a word of what is in it", async () => {
    const { server } = await open({});
    const file = join(server.directory, "broken");
    const ask = async () =>
      (await failureOf(openKubeClient({ kubeconfig: file }).get({ ...pod, signal }))).message;
    expect(await ask()).toContain("cannot be read (ENOENT)");
    await writeFile(file, `users: [{user: {token: ${fakeToken}}`);
    expect(await ask()).toContain("is no kubeconfig");
  });

  it("is read again when somebody renewed it", async () => {
    const { client, server } = await open({ body: object });
    await writeFile(server.kubeconfig, "{}");
    expect((await failureOf(client.get({ ...pod, signal }))).message).toContain("there are none");
  });

  it("whose plugin fails is told of without the plugin's words", async () => {
    const { client } = await open({ body: object }, "plugged");
    expect((await failureOf(client.get({ ...pod, signal }))).message).toContain(
      'user "plugged" of the kubeconfig',
    );
  });

  it("is not needed in a pod, and this is none", async () => {
    const { message } = await failureOf(openKubeClient({}).get({ ...pod, signal }));
    expect(message).toBe('cannot get Pod n/p: this process is in no pod; say "kubeconfig"');
  });
});

describe("a call", () => {
  it("ends with the caller's own reason", async () => {
    const { client } = await open({ body: object });
    const reason = new Error("enough");
    await expect(client.get({ ...pod, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  it("has no answer where nobody listens", async () => {
    const { client, server } = await open({ body: object });
    await client.get({ ...pod, signal });
    const text = JSON.stringify({
      clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:1" } }],
      users: [{ name: "u", user: { token: fakeToken } }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    });
    await writeFile(server.kubeconfig, text);
    const { code, message } = await failureOf(client.get({ ...pod, signal }));
    expect(code).toBe("cluster-unavailable");
    expect(message).toContain("https://127.0.0.1:1 does not answer (ECONNREFUSED)");
  });
});

describe("a right", () => {
  const review = (status: object) => open({ body: { kind: "SelfSubjectAccessReview", status } });
  const deployments = { apiVersion: "apps/v1", kind: "Deployment", namespace: "n", verb: "patch", signal };

  it("is what the server says of it, asked for by the kind's resource", async () => {
    const { client, server } = await review({ allowed: true });
    expect(await client.allows(deployments)).toBe(true);
    expect(await client.allows({ ...pod, part: "log", verb: "get", signal })).toBe(true);
    expect(
      server.calls.map(
        ({ body }) => (body as { spec: { resourceAttributes: object } }).spec.resourceAttributes,
      ),
    ).toEqual([
      { verb: "patch", group: "apps", resource: "deployments", namespace: "n" },
      { verb: "get", group: "", resource: "pods", subresource: "log", namespace: "n" },
    ]);
  });

  it("is refused by a plain no, and not known where an authorizer failed or nothing is said", async () => {
    expect(await (await review({ allowed: false })).client.allows(deployments)).toBe(false);
    for (const status of [{ allowed: false, evaluationError: "no answer" }, {}]) {
      await fake?.close();
      const { client } = await review(status);
      expect((await failureOf(client.allows(deployments))).code).toBe("cluster-unavailable");
    }
  });
});
