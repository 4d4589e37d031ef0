import type { TrafficView } from "@baton/protocol";
import { oneLine, stamp } from "./text.ts";

/** Each receiver of the route: what it knows and since when; what it does not know yet, and why. */
export const trafficLines = (views: readonly TrafficView[]): readonly string[] =>
  views.flatMap(({ target, removed, wanted, told, settled, tries, error }) => [
    `  ${oneLine(target)}: ${told === null ? "told nothing yet" : `told ${placeOf(told)}, ${stamp(told.at)}`}`,
    ...(settled
      ? []
      : [
          `    to be told ${placeOf(wanted)}, since ${stamp(wanted.since)}${removed ? ", and then forgotten" : ""}`,
        ]),
    ...(error === null
      ? []
      : [
          `    tried ${tries === 1 ? "once" : `${tries} times`}, ${stamp(error.at)}: ${oneLine(error.detail)}`,
        ]),
  ]);

const placeOf = ({ epoch, cluster, url }: TrafficView["wanted" | "told"] & object): string =>
  url === null ? `that nothing serves (epoch ${epoch})` : `${url} on ${String(cluster)} (epoch ${epoch})`;
