// The categories of hazards: one letter for the map, since no font or sprite is fetched, and a name.

export const HAZARDS = {
  slippery_road: ['S', 'Slippery road'], obstacle: ['O', 'Obstacle'], accident: ['A', 'Accident'], road_works: ['W', 'Road works'],
  reduced_visibility: ['V', 'Reduced visibility'], wrong_way_driver: ['!', 'Wrong-way driver'], blockage: ['X', 'Blockage'],
  exceptional_weather: ['R', 'Exceptional weather'], broken_down_vehicle: ['D', 'Broken-down vehicle'], hard_braking: ['B', 'Hard braking'],
};

export const letterOf = (category) => HAZARDS[category]?.[0] ?? '?';
export const nameOf = (category) => HAZARDS[category]?.[1] ?? category.replaceAll('_', ' ');
