/** Leads the connections of an undici client to servers on loopback, whatever host its URLs name. */

import {Agent, buildConnector} from 'undici';

/** Where to connect, and whom to trust there. */
export type LoopbackTarget = {
	readonly port: number;
	/** PEM. */
	readonly ca: string;
};

/**
 * An undici dispatcher that connects to `target` over TLS under the server name of the URL, and verifies that the certificate is
 * for that name and from the target's authority: `https://login.microsoftonline.com/...` is answered by the fixture, and
 * by nothing else. Yours to close.
 *
 * @param others Targets of their own for some hosts.
 */
export function loopbackDispatcher(target: LoopbackTarget, others: Readonly<Record<string, LoopbackTarget>> = {}, options: Agent.Options = {}): Agent {
	const connectors = new Map<LoopbackTarget, buildConnector.connector>();
	return new Agent({
		...options,
		connect(connection, callback) {
			const to = others[connection.hostname] ?? target;
			let connector = connectors.get(to);
			if (!connector) {
				connector = buildConnector({ca: to.ca});
				connectors.set(to, connector);
			}

			// `host` keeps the URL's host, which becomes the server name.
			connector({
				...connection, protocol: 'https:', hostname: '127.0.0.1', port: String(to.port),
			}, callback);
		},
	});
}
