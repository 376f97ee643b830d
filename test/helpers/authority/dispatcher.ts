/** Routes the connections of an undici client to servers on loopback, whatever host its URLs name. */

import {Agent, buildConnector} from 'undici';

/** The port to connect to and the authority to trust there. */
export type LoopbackTarget = {
	readonly port: number;
	/** The certificate authority, PEM. */
	readonly ca: string;
};

/**
 * Returns an undici dispatcher that connects to `target` over TLS with the URL's server name. It verifies that the
 * certificate is for that name and from the target's authority, so only the test server can answer
 * `https://login.microsoftonline.com/...`. The caller closes the dispatcher.
 *
 * @param others Targets for single hosts, by host name.
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

			// `host` keeps the URL's host, which becomes the TLS server name.
			connector({
				...connection, protocol: 'https:', hostname: '127.0.0.1', port: String(to.port),
			}, callback);
		},
	});
}
