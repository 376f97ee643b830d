/** Routes every host name to the endpoint on loopback and verifies its certificate. */

import {Agent, buildConnector} from 'undici';

/** @param {{port: number, ca: string}} server */
export function loopbackDispatcher({port, ca}) {
	const connector = buildConnector({ca});
	return new Agent({
		connect(options, callback) {
			connector({...options, hostname: '127.0.0.1', port: String(port)}, callback);
		},
	});
}
