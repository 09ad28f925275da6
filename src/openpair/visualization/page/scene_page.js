import {applyTheme} from "./dom.js";
import {showScenes} from "./scene_panel.js";

applyTheme();
showScenes({one: SHOWN.scene}, SHOWN.options);
