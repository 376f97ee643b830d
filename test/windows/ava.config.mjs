// AVA's configuration inside Wine: the same as at the top, for tests that are compiled already.
const config = {
	files: ['test/**/*.test.js'],
	nodeArguments: ['--import=./test/windows/wine-sockets.mjs'],
	workerThreads: false,
	concurrency: 2,
	utilizeParallelBuilds: false,
	timeout: '4m',
};

export default config;
