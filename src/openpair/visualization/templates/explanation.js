const clock=document.querySelector('.clock input'),said=document.querySelector('.clock output'),play=document.querySelector('.clock button');
const movers=[...document.querySelectorAll('[data-who]')];
let timer=0;
function show(step){clock.value=step;said.textContent=(step/10).toFixed(1)+' s';
for(const it of movers){const at=(moves[it.dataset.who]||[])[step];it.setAttribute('visibility',at?'visible':'hidden');
if(at)it.setAttribute('transform',`translate(${at[0]} ${at[1]}) rotate(${at[2]})`);}}
function stop(){clearInterval(timer);timer=0;play.textContent='▶';}
clock.addEventListener('input',()=>{stop();show(+clock.value);});
play.addEventListener('click',()=>{if(timer)return stop();if(+clock.value>=40)show(0);play.textContent='❚❚';
timer=setInterval(()=>{+clock.value<40?show(+clock.value+1):stop();},100);});
for(const row of document.querySelectorAll('[data-step]'))for(const kind of ['click','focus'])row.addEventListener(kind,()=>{stop();show(+row.dataset.step);});
