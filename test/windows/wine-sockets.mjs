/**
 * Preloaded in each test process: Wine 8 lacks TCP_KEEPALIVE, and Node reports the failure to set it as a connection
 * failure. Windows has it, so no test here depends on the option.
 */

import net from 'node:net';

net.Socket.prototype.setKeepAlive = function () {
	return this;
};
