/**
 * Preloaded into programs that cannot be given a network client: leads every TLS connection of the process, whatever host it names,
 * to the embedded endpoint on the loopback port `STC_LOOPBACK_PORT`. The server name stays, so certificates are verified as usual.
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
