/**
 * MSAL's network interface over TLS to the endpoint on loopback. Uses the URL's server name and verifies the
 * certificate.
 */

import {Agent, buildConnector, request} from 'undici';

/** @param {{port: number, ca: string}} server */
export function loopbackNetwork({port, ca}) {
	const connector = buildConnector({ca});
	const dispatcher = new Agent({
		connect(options, callback) {
			connector({...options, hostname: '127.0.0.1', port: String(port)}, callback);
		},
	});
	const send = async (method, url, {headers, body} = {}) => {
		const answer = await request(url, {
			method, headers, body, dispatcher,
		});
		return {status: answer.statusCode, headers: answer.headers, body: await answer.body.json()};
	};

	return {
		sendGetRequestAsync: (url, options) => send('GET', url, options),
		sendPostRequestAsync: (url, options) => send('POST', url, options),
		close: () => dispatcher.close(),
	};
}
