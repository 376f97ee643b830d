/**
 * Preloaded into programs that do not accept a network client. Routes every TLS connection of the process to the embedded
 * endpoint on the loopback port `STC_LOOPBACK_PORT`. The server name does not change, so certificates are verified as usual.
 */

import net from 'node:net';
import tls from 'node:tls';

const port = Number(process.env.STC_LOOPBACK_PORT);
const {connect} = tls;

tls.connect = (...args) => {
	// Source: Node's `tls.connect`: (options), (port, host, options) or (port, options), and a callback last.
	const callback = args.find(argument => typeof argument === 'function');
	const options = {...args.find(argument => typeof argument === 'object' && argument !== null)};
	const host = options.host ?? args.find(argument => typeof argument === 'string');
	const servername = options.servername || (net.isIP(host) ? undefined : host);
	return connect({
		...options, host: '127.0.0.1', port, servername, path: undefined,
	}, callback);
};
