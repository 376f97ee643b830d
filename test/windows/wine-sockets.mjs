/**
 * Loaded before the tests in each process: Wine 8 has no TCP_KEEPALIVE, and Node reports the failure of that option as a failure of the
 * connection. Windows has it, and so nothing is tested here that depends on it.
 */

import net from 'node:net';

net.Socket.prototype.setKeepAlive = function () {
	return this;
};
