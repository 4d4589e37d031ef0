import { type IncomingMessage, get } from "node:http";
import { connect } from "node:net";

/** The status and body of one GET on a connection of its own. @throws when the connection is refused or cut */
export async function fetchOnce(port: number, path: string): Promise<{ status: number; body: string }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, agent: false, headers: { connection: "close" } }, resolve).on(
      "error",
      reject,
    );
  });
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, body };
}

/** Whether a new client gets a connection. */
export const isAccepting = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
