import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { AppError, type TrafficPluginManifest, fitsRecord, trafficTarget } from "@baton/protocol";
import { runProgram } from "../run-program.ts";
import { cannotTell, whyEnded } from "../traffic-error.ts";
import type { ServedRoute, Telling, TrafficPlugin } from "../traffic-plugin.port.ts";
import type { Marker } from "./marker.ts";
import { type NameServer, openNameServer, parseServer } from "./name-server.ts";
import { markerName, planUpdate } from "./plan-update.ts";

type DnsManifest = Extract<TrafficPluginManifest, { plugin: "dns" }>;

/** By RFC 2136 through `nsupdate`, over TCP, signed with a TSIG key whose file only `nsupdate` reads. */
export function openDns(manifest: DnsManifest): TrafficPlugin {
  const target = trafficTarget(manifest);
  const server = parseServer(manifest.server);
  const ask = async <T>(signal: AbortSignal, question: (at: NameServer) => Promise<T>): Promise<T> => {
    try {
      return await question(await openNameServer(server, signal));
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
      throw cannotTell(
        target,
        "traffic-failed",
        whyEnded(signal) ??
          `the name server does not answer or refuses (${code}); see that it is up, and has the zone`,
        error,
      );
    }
  };

  return {
    async check(signal) {
      await assertReadable(manifest.key.file);
      await nsupdate(manifest, "quit\n", signal);
      await ask(signal, (at) => at.assertZone(manifest.zone));
    },
    async tell(telling, signal) {
      await assertReadable(manifest.key.file);
      const value = valueOf(manifest, telling.route);
      const seen = await ask(signal, (at) => at.marker(markerName(manifest)));
      assertNotNewer(target, seen, telling);
      const update = planUpdate({ record: manifest, telling, value, seen });
      await nsupdate(manifest, `server ${server.host} ${server.port}\n${update}`, signal);
      // A server passes over what it thinks wrong, such as a CNAME beside something else, and says that all is well.
      if (value === null) return;
      const values = await ask(signal, (at) => at.values(manifest));
      if (values.length !== 1 || !sameValue(values[0], value))
        throw cannotTell(
          target,
          "traffic-refused",
          "the name server took the update and shows something else; see what other records the name has",
        );
    },
  };
}

/** @throws `traffic-unusable` where the route has no value for a record of this type. */
function valueOf(manifest: DnsManifest, route: ServedRoute | null): string | null {
  if (route === null) return null;
  const { cluster, url } = route;
  const value = manifest.addresses[cluster] ?? URL.parse(url)?.hostname.replace(/^\[|\]$/g, "") ?? "";
  if (fitsRecord(manifest.type, value)) return value.toLowerCase().replace(/\.$/, "");
  throw cannotTell(
    trafficTarget(manifest),
    "traffic-unusable",
    `its host on ${cluster} is no value for a record of type ${manifest.type}; name the right one in "addresses"`,
  );
}

/** IPv6 has many forms. */
const sameValue = (a = "", b: string): boolean => normalized(a) === normalized(b);
const normalized = (value: string): string => URL.parse(`http://[${value}]`)?.host ?? value.toLowerCase();

function assertNotNewer(
  target: string,
  seen: Marker | "foreign" | null,
  { owner, epoch, revision }: Telling,
): asserts seen is Marker | null {
  if (seen === null) return;
  if (seen === "foreign" || seen.owner !== owner)
    throw cannotTell(
      target,
      "traffic-refused",
      "the record is another orchestrator's or application's; remove it and the TXT record beside it, or take another name",
    );
  if (seen.epoch > epoch || seen.revision > revision)
    throw cannotTell(
      target,
      "traffic-refused",
      `it was told of epoch ${seen.epoch}, revision ${seen.revision}, and this is older; see whether the records were set back`,
    );
}

async function nsupdate(manifest: DnsManifest, input: string, signal: AbortSignal): Promise<void> {
  const { file } = manifest.key;
  const { status, words, output } = await runProgram({
    command: ["nsupdate", "-v", "-k", file],
    environment: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
    input,
    signal,
  });
  const target = trafficTarget(manifest);
  const ended = whyEnded(signal);
  if (ended !== null && status !== 0) throw cannotTell(target, "traffic-failed", ended);
  // It goes on without a key, and quotes what it read: none of its words but the server's code may travel along.
  if (output.includes("could not read key"))
    throw unreadable(file, "it is no TSIG key; write it with tsig-keygen");
  if (status === 0) return;
  if (status === null)
    throw cannotTell(
      target,
      "traffic-unusable",
      `nsupdate ${words}; install bind9-dnsutils where the orchestrator runs`,
    );
  const [, code = `nsupdate ended with status ${status}`] = /update failed: ([A-Z()]+)/.exec(output) ?? [];
  // The prerequisites of the plan.
  if (/^(?:YX|NX)(?:RRSET|DOMAIN)$/.test(code))
    throw cannotTell(
      target,
      "traffic-refused",
      "there is a record of this name that is not ours, or somebody changed it just now; remove it, or take another name",
    );
  throw cannotTell(
    target,
    "traffic-failed",
    `the name server did not take the update (${code}); see what it lets this key change`,
  );
}

const unreadable = (file: string, why: string): AppError =>
  new AppError("secret-unavailable", `cannot read the secret ${file}: ${why}`);

async function assertReadable(file: string): Promise<void> {
  try {
    await access(file, constants.R_OK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
    throw unreadable(
      file,
      code === "ENOENT"
        ? "there is no such file; create it or correct the manifest"
        : `it may not be read (${code})`,
    );
  }
}
