import { trafficLines } from "../view/traffic-lines.ts";
import { type CommandContext, type GlobalOptions, openSession } from "./session.ts";

export async function showRoute(
  context: CommandContext,
  application: string,
  options: GlobalOptions,
): Promise<void> {
  const { client, print } = await openSession(context, options);
  const route = await client.route(application, context.signal);
  const traffic = await client.traffic(application, context.signal);
  print({ ...route, traffic }, () => [
    route.url === null
      ? `${application} is served nowhere now`
      : `${application} is served at ${route.url} on ${String(route.cluster)}, epoch ${route.epoch}`,
    ...trafficLines(traffic),
  ]);
}
