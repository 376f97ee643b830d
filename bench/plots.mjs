/** The plots of RESULTS.md and docs/performance.md, as SVG that suits light and dark pages. Plain JavaScript: Plot brings no types for a DOM of another maker. */

import * as Plot from '@observablehq/plot';
import {parseHTML} from 'linkedom';

const {document} = parseHTML('<html><body></body></html>');

/**
 * Okabe and Ito's colors, which color-blind people can distinguish: dark enough for a white background, light enough
 * for a black one.
 */
const colorOf = {
	ours: '#0a84d8', pure: '#d98200', peer: '#d1495b', identity: '#8a63c9', floor: '#7d8590',
};

const seriesColor = name => {
	if (name.includes('constant') || name.includes('nothing')) {
		return colorOf.floor;
	}

	if (name.includes('msal')) {
		return colorOf.peer;
	}

	if (name.includes('identity')) {
		return colorOf.identity;
	}

	return name.includes('pure') ? colorOf.pure : colorOf.ours;
};

const common = {
	document,
	width: 760,
	height: 410,
	marginLeft: 64,
	marginRight: 170,
	marginTop: 76,
	marginBottom: 52,
	style: {fontSize: '13px', fontFamily: 'system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif', background: 'none'},
};

/**
 * @param {import('./results.js').Plots} data @returns {Record<string, string>} SVG text by file name without extension.
 */
export function drawPlots(data) {
	return {
		hit: drawHit(data.hit),
		size: drawSize(data.size),
		block: drawBlock(data.block),
		grants: drawGrants(data.grants),
	};
}

function drawHit(series) {
	// Every additional nine of the percentile gets the same width.
	const nines = share => -Math.log10(1 - share);
	const rows = series.flatMap(({name, points}) => points.map(({share, value}) => ({name, nines: nines(share), ns: value})));
	const longest = Math.max(...rows.map(row => row.nines));
	const labelOf = {
		1: '90 %', 2: '99 %', 3: '99.9 %', 4: '99.99 %',
	};
	return finish(Plot.plot({
		...common,
		x: {
			label: 'percentile of calls', labelAnchor: 'center', labelArrow: 'none', domain: [0, longest], ticks: [nines(0.5), 1, 2, 3, 4].filter(tick => tick <= longest), tickFormat: tick => labelOf[tick] ?? 'median', labelOffset: 44,
		},
		y: {
			type: 'log', label: null, tickFormat: formatNs, ticks: decades(rows.map(row => row.ns)), grid: true,
		},
		marks: [
			Plot.line(rows, {
				x: 'nines', y: 'ns', z: 'name', stroke: row => seriesColor(row.name), strokeWidth: 2.2,
			}),
			...endLabels(rows, 'nines', 'ns'),
		],
	}), 'A hit, cache of 6 tokens', 'Time of one call. This package answers from memory. The libraries read the cache for each call.');
}

function drawSize(points) {
	const rows = points.toSorted((a, b) => a.sizeBytes - b.sizeBytes);
	return finish(Plot.plot({
		...common,
		x: {
			type: 'log', label: 'size of the cache', labelAnchor: 'center', labelArrow: 'none', tickFormat: formatBytes, ticks: decades(rows.map(row => row.sizeBytes)), labelOffset: 44,
		},
		y: {
			type: 'log', label: null, tickFormat: ms => formatNs(ms * 1e6), ticks: decades(rows.map(row => row.ms)), grid: true,
		},
		marks: [
			Plot.line(rows, {
				x: 'sizeBytes', y: 'ms', z: 'name', stroke: row => seriesColor(row.name), strokeWidth: 2.2,
			}),
			Plot.dot(rows, {
				x: 'sizeBytes', y: 'ms', fill: row => seriesColor(row.name), r: 4,
			}),
			...endLabels(rows, 'sizeBytes', 'ms'),
		],
	}), 'From file to token', 'Time until the token is available, file in the page cache: read and scan, read and parse, silent hit.');
}

function drawBlock(rows) {
	const names = [...new Set(rows.map(({name}) => name))];
	const medians = names.map(name => {
		const sorted = rows.filter(row => row.name === name).map(({ms}) => ms).toSorted((a, b) => a - b);
		return {name, ms: sorted[Math.floor(sorted.length / 2)]};
	});
	return finish(Plot.plot({
		...common,
		height: 320,
		marginLeft: 110,
		marginRight: 40,
		x: {
			type: 'log', label: 'longest block of the event loop', labelAnchor: 'center', labelArrow: 'none', tickFormat: ms => formatNs(ms * 1e6), ticks: decades(rows.map(row => row.ms)), grid: true, insetLeft: 14, labelOffset: 44,
		},
		y: {domain: names, label: null},
		marks: [
			Plot.ruleX([1], {stroke: 'currentColor', strokeOpacity: 0.5, strokeDasharray: '4 4'}),
			Plot.text([1], {
				x: ms => ms, text: () => 'target', frameAnchor: 'top', dy: -12, fill: 'currentColor', fillOpacity: 0.7,
			}),
			Plot.dot(rows, {
				x: 'ms', y: 'name', fill: row => seriesColor(row.name), fillOpacity: 0.45, r: 4.5,
			}),
			Plot.tickX(medians, {
				x: 'ms', y: 'name', stroke: row => seriesColor(row.name), strokeWidth: 3, insetTop: 8, insetBottom: 8,
			}),
		],
	}), 'The event loop while the largest cache is read', 'One dot per run. The bar is the median.');
}

function drawGrants(rows) {
	const counts = [...new Set(rows.map(({processes}) => processes))];
	const names = [...new Set(rows.map(({name}) => name))];
	return finish(Plot.plot({
		...common,
		height: 370,
		x: {
			type: 'band', domain: names, axis: null, paddingInner: 0.08,
		},
		fx: {
			domain: counts, label: 'processes that request one expired token, 10 calls each', labelAnchor: 'center', labelArrow: 'none', labelOffset: 44, axis: 'bottom',
		},
		y: {
			label: null, grid: true, labelOffset: 44, tickFormat: 'd', insetTop: 8,
		},
		marks: [
			Plot.barY(rows, {
				fx: 'processes', x: 'name', y: 'grants', fill: row => seriesColor(row.name),
			}),
			Plot.text(rows, {
				fx: 'processes', x: 'name', y: 'grants', text: 'grants', dy: -9, fill: 'currentColor',
			}),
			Plot.ruleY([0], {stroke: 'currentColor'}),
		],
	}), 'Grants for one expired token', 'Requests that reach the authority.', names.map(name => ({name, color: seriesColor(name)})));
}

/** The labels of the series behind their last points, moved apart to avoid overlaps. */
function endLabels(rows, x, y) {
	const leastDistance = 16;
	/** Approximate height of the logarithmic scale in pixels. */
	const room = 280;
	const names = [...new Set(rows.map(({name}) => name))];
	const values = rows.map(row => row[y]);
	const span = Math.log(Math.max(...values) / Math.min(...values)) || 1;
	const labels = names
		.map(name => rows.filter(row => row.name === name).toSorted((first, second) => first[x] - second[x]).at(-1))
		.toSorted((first, second) => second[y] - first[y])
		.map(end => ({end, at: -Math.log(end[y]) / span * room}));
	for (const [index, label] of labels.entries()) {
		const above = labels[index - 1];
		label.placed = above?.end[x] === label.end[x] ? Math.max(label.at, above.placed + leastDistance) : label.at;
	}

	return labels.map(({end, at, placed}) => Plot.text([end], {
		x, y, text: 'name', textAnchor: 'start', dx: 10, dy: placed - at, fill: seriesColor(end.name), fontWeight: 600,
	}));
}

/** The powers of ten on a logarithmic axis. */
function decades(values) {
	const first = Math.floor(Math.log10(Math.min(...values)));
	const last = Math.ceil(Math.log10(Math.max(...values)));
	return Array.from({length: last - first + 1}, (_, index) => 10 ** (first + index)).filter(tick => tick >= Math.min(...values) * 0.99 && tick <= Math.max(...values) * 1.01);
}

const plain = value => String(Number(value.toPrecision(3)));

function formatNs(ns) {
	const [scale, unit] = [[1e9, 's'], [1e6, 'ms'], [1e3, 'µs'], [1, 'ns']].find(([least]) => ns >= least) ?? [1, 'ns'];
	return `${plain(ns / scale)} ${unit}`;
}

function formatBytes(bytes) {
	const [scale, unit] = bytes < 1e6 ? [1e3, 'KB'] : [1e6, 'MB'];
	return `${plain(bytes / scale)} ${unit}`;
}

/** Adds what Plot leaves to the page: title, background, and colors for light and dark mode. */
function finish(svg, title, subtitle, legend = []) {
	svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
	svg.setAttribute('role', 'img');
	const width = Number(svg.getAttribute('width'));
	const height = Number(svg.getAttribute('height'));
	const element = (name, attributes, text) => {
		const made = document.createElementNS('http://www.w3.org/2000/svg', name);
		for (const [key, value] of Object.entries(attributes)) {
			made.setAttribute(key, value);
		}

		if (text !== undefined) {
			made.textContent = text;
		}

		return made;
	};

	const style = element('style', {}, 'svg{color:#1f2328}.page{fill:#fff;stroke:#d1d9e0}@media (prefers-color-scheme:dark){svg{color:#e6edf3}.page{fill:#0d1117;stroke:#3d444d}}');
	const page = element('rect', {
		class: 'page', x: 0.5, y: 0.5, width: width - 1, height: height - 1, rx: 8,
	});
	const heading = element('text', {
		x: 20, y: 30, 'font-size': 16, 'font-weight': 600, 'text-anchor': 'start', fill: 'currentColor',
	}, title);
	const text = element('text', {
		x: 20, y: 52, 'text-anchor': 'start', fill: 'currentColor', 'fill-opacity': 0.75,
	}, subtitle);
	const added = [style, page, heading, text];

	for (const [index, {name, color}] of legend.entries()) {
		added.push(element('rect', {
			x: width - 150, y: 80 + (index * 24), width: 13, height: 13, rx: 3, fill: color,
		}), element('text', {
			x: width - 130, y: 91 + (index * 24), 'text-anchor': 'start', fill: 'currentColor',
		}, name));
	}

	// Inserted before Plot's own elements, but after its style.
	for (const each of added.toReversed()) {
		svg.insertBefore(each, svg.querySelector('style').nextSibling);
	}

	return `${svg.outerHTML}\n`;
}
