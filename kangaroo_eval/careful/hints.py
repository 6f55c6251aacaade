"""What a word may stand for without meaning the same: kinds of things, what tells of an occupation or place, and idioms."""

BROADER = """
animal: dog cat horse cow sheep pig rabbit bird fish lion tiger bear elephant monkey mouse goat duck chicken
pet: dog cat rabbit hamster parrot
bird: duck chicken parrot eagle owl pigeon swan goose crow
insect: bee ant butterfly fly beetle mosquito
fruit: apple banana orange grape strawberry mango pear peach lemon watermelon
vegetable: carrot onion potato tomato cucumber lettuce broccoli cabbage pepper
vehicle: car bus truck van train motorcycle tram taxi
furniture: chair table sofa bed desk shelf wardrobe
tool: hammer saw drill screwdriver wrench
instrument: guitar piano violin drum flute trumpet cello saxophone
drink: coffee tea juice milk water wine beer
weapon: gun knife sword rifle pistol
sport: soccer basketball tennis volleyball hockey rugby baseball cricket golf
relative: mother father sister brother uncle aunt cousin grandmother grandfather
child: boy girl son daughter
parent: mother father
building: house church hospital school hotel tower castle
clothe: shirt jacket hat dress trousers skirt sweater sock
"""
"""A reply that says "animal" may mean the dog; one that says "dog" never means the animal of another kind."""

CUES = """
fishing: rod bait hook reel fish
cooking: stove pan fry boil ingredients recipe chop stir oven pot spice
painting: brush canvas easel
sewing: needle thread fabric
gardening: soil seeds shovel flowers plants weeds
camping: tent campfire
reading: book page pages novel
swimming: pool lane strokes
skiing: snow slope slopes poles
dancing: music steps twirl
chess: checkmate board pieces pawn
tennis: racket net serve court
basketball: hoop dunk dribble
soccer: goalkeeper pitch goal
football: touchdown quarterback
golf: club tee hole
baseball: bat pitcher
bowling: pins lane
dentist: teeth tooth drill patient
doctor: patient stethoscope hospital
nurse: patient hospital injection
teacher: blackboard class pupils lesson students
librarian: books shelves library
mechanic: cars engine repair garage
pilot: cockpit plane fly
attendant: passengers aisle plane board
waiter: table menu orders tray
chef: kitchen dish cook
farmer: crops tractor field cows
firefighter: hose flames
police: arrest handcuffs badge
barber: hair scissors
hairdresser: hair scissors
lawyer: court judge client trial
judge: court gavel
singer: microphone song stage
photographer: camera lens picture
carpenter: wood saw hammer
plumber: pipe leak sink
electrician: wires fuse cable
baker: bread dough oven
astronaut: space rocket spacesuit
kitchen: stove fridge oven sink counter
bathroom: shower toilet bathtub
bedroom: bed wardrobe pillow
farm: cows barn tractor fields crops hens
garage: car tools workbench
garden: flowers bushes lawn
office: desk desks colleagues printer
classroom: blackboard pupils desks
library: books shelves
beach: sand waves sea
hospital: patients nurses doctors beds
airport: runway planes gate boarding
restaurant: waiter menu diners
gym: treadmill weights
park: bench trees joggers
supermarket: aisles trolley checkout
museum: paintings statues exhibits exhibition
church: altar priest pews
station: platform train
wedding: bride groom vows
birthday: candles cake
funeral: coffin grave
graduation: gown diploma
winter: snow ice freezing
summer: heat beach sunbathing
autumn: leaves
spring: blossom blossoms
oversleep: alarm late woke
shopping: store mall trolley
groceries: supermarket store food
nap: asleep sleep
wind: gust blow draught breeze
rain: umbrella drops puddles
flood: water underwater
optimistic: hopeful future bright
lamp: bulb
invite: dinner come
noise: loud music
"""
"""What tells of an occupation, a place, or an event; one such word alone tells nothing."""

PHRASES = """
say sorry=apologise
ask for forgiveness=apologise
lose footing=slip
lose balance=slip
go up=increase
goes up=increase
get higher=increase
get lower=decrease
get larger=increase
get bigger=increase
get smaller=decrease
get warmer=increase
get hotter=increase
get colder=decrease
get cooler=decrease
go down=decrease
come down=decrease
lose weight=lighter
gain weight=heavier
put on weight=heavier
catch fire=fire
no change=unchanged
not change=unchanged
stay same=unchanged
remain same=unchanged
stay the same=unchanged
remain the same=unchanged
up and down=fluctuate
give up=quit
set off=leave
run away=flee
get away=flee
look for=search
look after=care
pick up=lift
put down=lower
fall asleep=sleep
break down=breakdown
blow up=explode
call off=cancel
put off=postpone
cut up=chop
switch on=on
turn on=on
switch off=off
turn off=off
take off=remove
hand over=give
find out=discover
throw away=discard
make up=reconcile
get married=marry
at work=working
have enough=complain
fed up=annoyed
on fire=fire
mum and dad=parents
give something to eat=feed
give food=feed
pay no attention=ignore
take no notice=ignore
give back=return
bring back=return
make fun=mock
tell off=scold
get rid=discard
get up=rise
say goodbye=farewell
take picture=photograph
take photo=photograph
work out=exercise
cheer up=comfort
shake head=refuse
nod head=agree
"""
"""Several words that mean one of the words of the vocabulary."""
