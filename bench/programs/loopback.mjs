/** Whatever the host is called, the endpoint on loopback answers for it, its certificate verified. */

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
