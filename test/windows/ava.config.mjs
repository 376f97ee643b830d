// AVA's configuration in Wine: like the top-level one, for tests that are already compiled.
const config = {
	files: ['test/**/*.test.js'],
	nodeArguments: ['--import=./test/windows/wine-sockets.mjs'],
	workerThreads: false,
	concurrency: 2,
	utilizeParallelBuilds: false,
	timeout: '4m',
};

export default config;
