/**
 * Asks a Prometheus what a panel's targets ask for, as Grafana's data source does.
 *
 * In: a target, the time range. Out: data frames. Variables stand for everything, as when the dashboard is opened.
 * I/O: the HTTP API, through the server of this page.
 */
import { FieldType, createDataFrame } from '@grafana/data';

/** A scrape each two seconds in the proof; a dashboard of a cluster would have a minute. */
const variables = (range, words) => ({
  cluster: '.*', job: '.+', node: words.get('node') ?? 'fleet:all', datasource: 'prometheus', __rate_interval: words.get('rate') ?? '4m',
  __range: `${Math.round((range.to - range.from) / 1000)}s`, __interval: '1m',
});

export function fill(text, range) {
  const values = variables(range, new URLSearchParams(location.search));
  return text.replace(/\$(?:\{(\w+)\}|(\w+))/g, (all, a, b) => values[a ?? b] ?? all);
}

async function ask(path, words) {
  const answer = await fetch(`/api/v1/${path}?${new URLSearchParams(words)}`);
  const body = await answer.json();
  if (body.status !== 'success') {
    throw new Error(body.error);
  }
  return body.data.result;
}

const number = (text) => (text === 'NaN' ? null : Number(text));

function legend(target, labels) {
  if (target.legendFormat && target.legendFormat !== '__auto') {
    return target.legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '');
  }
  return Object.entries(labels).filter(([name]) => name !== '__name__').map(([name, value]) => `${name}=${value}`).join(', ') || 'Value';
}

/** One frame for each series. */
function lines(target, result, times) {
  return result.map(({ metric, values }) => {
    const at = new Map(values.map(([time, value]) => [Math.round(time * 1000), number(value)]));
    return createDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: times },
        { name: 'Value', type: FieldType.number, labels: metric, config: { displayNameFromDS: legend(target, metric) }, values: times.map((time) => at.get(time) ?? null) },
      ],
    });
  });
}

/** One frame with a column for each label. */
function rows(target, result, several) {
  const names = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return [createDataFrame({
    refId: target.refId,
    name: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map(({ value }) => value[0] * 1000) },
      ...names.map((name) => ({ name, type: FieldType.string, values: result.map(({ metric }) => metric[name] ?? '') })),
      { name: several ? `Value #${target.refId}` : 'Value', type: FieldType.number, values: result.map(({ value }) => number(value[1])) },
    ],
  })];
}

/** All frames of a panel. */
export async function frames(panel, range, step) {
  const end = range.to.valueOf();
  const times = [];
  for (let time = range.from.valueOf(); time <= end; time += step * 1000) {
    times.push(time);
  }
  const each = panel.targets.map(async (target) => {
    const query = fill(target.expr, range);
    if (target.instant) {
      const result = await ask('query', { query, time: end / 1000 });
      const shaped = result.map(({ metric, value }) => ({ metric, values: [value] }));
      return target.format === 'table' ? rows(target, result, panel.targets.length > 1) : lines(target, shaped, result.map(({ value }) => Math.round(value[0] * 1000)).slice(0, 1));
    }
    return lines(target, await ask('query_range', { query, start: times[0] / 1000, end: times.at(-1) / 1000, step }), times);
  });
  return (await Promise.all(each)).flat();
}

/** Moments at which an annotation's query has a value, with their titles. */
export async function moments(annotation, range, step) {
  const result = await ask('query_range', { query: fill(annotation.expr, range), start: range.from / 1000, end: range.to / 1000, step });
  return result.flatMap(({ values }) => values.map(([time]) => time * 1000));
}
