import type { Telling } from "./traffic-plugin.port.ts";

/** What a webhook and a program get to read. */
export function tellingBody({ application, epoch, revision, route, previous }: Telling): string {
  const { placement = null, cluster = null, url = null } = route ?? {};
  return JSON.stringify({
    version: 1,
    application,
    epoch,
    revision,
    cluster,
    placement,
    url,
    previous,
  });
}

/** The same for the same telling, and for no other one. */
export const tellingKey = ({ owner, epoch, revision }: Telling): string =>
  `${owner.replaceAll("/", ".")}.${epoch}.${revision}`;
