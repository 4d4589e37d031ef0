import type { ErrorCode, StorageManifest } from "@baton/protocol";
import type { Annex } from "./annex.ts";
import type { FakeStore, FakeStores } from "./fake-stores.ts";

/** Part of every secret here that must never be shown. */
export const secretWord = "hunter2";

export interface WrongStorage {
  readonly title: string;
  readonly change: (annex: Annex, fakes: FakeStores) => Promise<Partial<StorageManifest>>;
  readonly code: ErrorCode;
  readonly words: readonly string[];
}

/** An endpoint at which this is found instead of a store; each is refused with these words. */
const fake = (
  title: string,
  store: FakeStore,
  code: ErrorCode,
  words: readonly string[],
  more: (fakes: FakeStores, endpoint: string) => Partial<StorageManifest> = () => ({}),
): WrongStorage => ({
  title,
  change: async (_, fakes) => {
    const endpoint = fakes.endpoint(store);
    return { endpoint, ...more(fakes, endpoint) };
  },
  code,
  words,
});
const withTls = (_: FakeStores, endpoint: string) => ({ endpoint: endpoint.replace("http:", "https:") });
const withoutTls = (_: FakeStores, endpoint: string) => ({ endpoint: endpoint.replace("https:", "http:") });
const untrusted = ["its certificate is not trusted", "give the binding the right CA bundle"];
const cutPem = '"ca" is no certificate in PEM, or was cut';

export const wrongEndpoints: readonly WrongStorage[] = [
  fake("another region", "is in another region", "storage-credentials", [
    "the store expects a signature for another region; correct the region",
  ]),
  fake("a key that was taken away", "does not know the key any more", "storage-credentials", [
    "the store does not know the access key; give a key of this store",
  ]),
  fake("a key that has expired", "says that the key has expired", "storage-credentials", [
    "the temporary key has expired; give one that is still valid",
  ]),
  fake("a clock that is wrong", "has another time", "storage-failed", [
    "the clocks of this machine and of the store differ too much; synchronise them",
  ]),
  fake("a store that fails", "fails always", "storage-unclear", [
    "the store failed (status 503)",
    "ask again once it is well",
  ]),
  fake("a store that always sees a conflict", "says conflict always", "storage-failed", [
    "something else is under way",
  ]),
  fake("a web page", "is a web page", "storage-failed", ["the answer has no ETag"]),
  fake("what never answers", "never answers", "storage-unreachable", [
    "it takes a connection and does not answer within",
    "check that the store is well, and that this is its port",
  ]),
  fake("what closes at once", "closes at once", "storage-unreachable", [
    "it closes the connection without an answer",
    "check that the store is well, and that this is its port",
  ]),
  fake("what does not speak HTTP", "talks of something else", "storage-unreachable", [
    "what answers there does not speak HTTP; correct the port",
  ]),
  fake("certificates that nobody knows", "has its own certificate", "storage-unreachable", untrusted),
  fake(
    "certificates of somebody else",
    "has its own certificate",
    "storage-unreachable",
    untrusted,
    ({ otherCa }) => ({ ca: otherCa }),
  ),
  fake(
    "a certificate of another name",
    "has another name's certificate",
    "storage-unreachable",
    [...untrusted, "or the store a certificate for this name"],
    ({ ca }) => ({ ca }),
  ),
  fake(
    "https where there is http",
    "fails always",
    "storage-unreachable",
    ["what answers there does not speak TLS; write http:// if the store has none"],
    withTls,
  ),
  fake(
    "http where there is https",
    "has its own certificate",
    "storage-unreachable",
    ["what answers there speaks TLS; write https://"],
    withoutTls,
  ),
  fake("certificates that are none", "has its own certificate", "invalid-manifest", [cutPem], () => ({
    ca: `-----BEGIN CERTIFICATE-----\n${secretWord}\n-----END CERTIFICATE-----\n`,
  })),
  fake("certificates that were cut", "has its own certificate", "invalid-manifest", [cutPem], ({ ca }) => ({
    ca: ca.slice(0, 300),
  })),
  fake(
    "another endpoint where nothing is well",
    "closes at once",
    "storage-unreachable",
    ["it closes the connection without an answer"],
    ({ endpoint }) => ({ endpoint: endpoint("fails always"), otherEndpoints: [endpoint("closes at once")] }),
  ),
];
