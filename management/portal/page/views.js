// The views, in the order of the navigation. Each is a module of its own, loaded when it is opened;
// main.js says what such a module exports. Those with a role are listed for bearers of it alone.

/** The map's library is large: it is asked for at once. Should it fail, the view says so. */
function mapView() {
  import('./views/map/canvas.js').catch(() => {});
  return import('./views/map/index.js');
}

export const VIEWS = [
  { id: 'map', title: 'Map', load: mapView },
  { id: 'trends', title: 'Trends', load: () => import('./views/trends/index.js') },
  { id: 'pipeline', title: 'Pipeline', load: () => import('./views/pipeline/index.js') },
  { id: 'vehicles', title: 'Vehicles', load: () => import('./views/vehicles/index.js') },
  { id: 'quarantine', title: 'Quarantine', load: () => import('./views/quarantine/index.js') },
  { id: 'jobs', title: 'Jobs', load: () => import('./views/jobs/index.js') },
  { id: 'webhooks', title: 'Webhooks', load: () => import('./views/webhooks/index.js') },
  { id: 'cost', title: 'Cost', load: () => import('./views/cost/index.js') },
  { id: 'audit', title: 'Audit', role: 'admin', load: () => import('./views/audit/index.js') },
];
