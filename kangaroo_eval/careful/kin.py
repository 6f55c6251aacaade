"""What words the careful reader takes for one another: forms of a word, and synonyms.

Groups are parted by "|". It is plain vocabulary of what videos show and options name.
"""

from __future__ import annotations

FORMS = """
man men | woman women | child children kid kids | foot feet | tooth teeth | person people persons |
run ran | go went gone goes | get got gotten | sit sat sitting | stand stood | take took taken |
throw threw thrown | write wrote written | give gave given gives | break broke broken | buy bought |
drive drove driven | eat ate eaten | drink drank drunk | swim swam swum | sing sang sung |
ride rode ridden | make made making | tell told | hide hid hidden | lose lost losing |
fly flew flown flies | speak spoke spoken | hold held | begin began begun | fight fought | catch caught |
teach taught | find found | party parties | clearly | army armies | county | story stories |
yes yeah yep yup | no nope nah | counter anti | fall fell fallen falling falls |
rise rose risen rising rises | see saw seen | hear heard | sell sold | send sent | build built |
meet met | keep kept | know knew known | sew sewn | dig dug | blow blew blown | list lists |
wrist wrists | wear wore worn | bring brought | shake shook shaken | pull pulled | sleep slept asleep |
feed fed | grow grew grown | draw drew drawn | choose chose chosen | win won wins | die died dying dies |
lie lying lies lay | tie tied tying ties | put puts putting | cut cuts cutting | shut shuts |
leave leaving leaves | toward towards | forward forwards | use used using uses |
be is are was were been being am | do does did done doing | have has had having | not no't nt |
this these those that | news | bus buses | gas | glass glasses | grass | dress | always | during |
morning | evening | nothing | something | anything | everything | king kings | ring rings | red |
bed beds | need needs needed | spring | string | thing things | wing wings | hundred | family families |
only | july | early | italy | slip slips slipped slipping | lend lent |
steal stole stolen stealing steals | burn burnt | swing swung | hang hung | wake woke woken wakes waking |
overslept oversleep | freeze froze frozen | spill spilt spilled spills | dream dreamt | learn learnt |
spin spun | stick stuck | strike struck | bite bit bitten | cling clung | climb | slide slid |
sink sank sunk | pay paid | spend spent | shoot shot | light lit | bend bent | kneel knelt | sweep swept |
weep wept | creep crept | forget forgot forgotten | forgive forgave forgiven | tear tore torn |
hurt hurts | knife knives | leaf leaves | half halves | wolf wolves | mouse mice |
colour color colors colours coloured colored | grey gray | theatre theater | centre center |
neighbour neighbor neighbours neighbors | jewellery jewelry jewels | pyjamas pajamas |
skeptical sceptical sceptic skeptic scepticism skepticism |
apologise apologize apologises apologizes apologising apologizing apology apologies apologised apologized |
organise organize organises organizes organising organizing | decide decides decided decision |
choice choices | argue argues argued arguing argument arguments |
complain complains complaint complaints complaining complained | arrive arrives arrived arrival arriving |
depart departs departure departed | refuse refuses refusal refused refusing |
propose proposes proposal proposed proposing | explode explodes explosion exploded exploding |
collide collides collision collided colliding | invite invites invitation invited inviting |
celebrate celebrates celebration celebrated celebrating | warn warns warned warning
"""
"""Irregular forms; the first word of a group stands for the others."""

SAME = """
sofa couch settee | bicycle bike | child kid | autumn fall |
decrease minus fall drop decline sink shrink reduce lower | increase plus grow rise climb growth higher |
trash garbage rubbish bin wastebasket | film movie | car automobile |
happy joyful cheerful glad happiness joy | angry furious mad anger annoyed | sad unhappy sadness upset |
surprised astonished surprise shocked | scared afraid frightened fear | large big huge |
small little tiny | fast quick rapid | begin start | stop end finish | man guy gentleman male |
woman lady female | phone telephone cellphone smartphone mobile | tv television | doctor physician |
firefighter fireman | chef cook | stone rock | road street | hear listen | talk speak chat |
repair fix mend | clean wash wipe | leave exit depart | enter come | sphere ball | motorcycle motorbike |
fridge refrigerator | drawing draw sketch | dish plate | rope string | bag backpack rucksack |
bed mattress | knock hit strike | carry bring | shut close | rotate spin turn rotation | laugh giggle |
cry weep | kitten cat | puppy dog | trousers pants | jacket coat | sneakers trainers |
glasses spectacles | beer lager | policeman policewoman cop | jog run | cycling bicycle | mum mom mother |
dad father | baby infant | picture photo photograph | soccer football | mug cup |
counter worktop countertop | cupboard cabinet closet | airplane plane aeroplane | gift present |
store shop | teacher instructor | again more | toss throw | hat cap | lift elevator |
anticlockwise counterclockwise | purchase buy | biography life | near next beside | smile smiling grin |
true correct yes | false incorrect no | home house | flat unchanged constant | rain rainy raining |
snow snowy snowing | sun sunny sunshine | cloud cloudy | wind windy | jump leap | shout yell scream |
ill sick | below under beneath underneath | above over | sea ocean | forest wood | half-time halftime |
slip skid | apologise sorry apologetic pardon | complain gripe grumble protest | borrow loan lend |
optimistic hopeful upbeat positive confident | doubtful skeptical unsure dubious unconvinced |
pessimistic negative gloomy hopeless | sell sale dealer seller vendor salesman | chop slice cut dice |
whisk beat | heavier heavy | fire burn flame flames ablaze blaze | float hover |
broken smash shatter break crack | neutral indifferent impartial | calm relaxed peaceful serene tranquil |
nervous anxious worried uneasy tense anxiety worry | excited thrilled enthusiastic eager excitement |
bored boring uninterested boredom | confused puzzled bewildered baffled confusion | proud pride |
tired exhausted weary sleepy fatigue | lonely alone loneliness | friendly kind warm |
funny amusing humorous comical hilarious | dangerous risky unsafe hazardous | safe secure |
expensive costly pricey | cheap inexpensive affordable | rich wealthy | poor impoverished |
old elderly aged older elder | young youthful younger | beautiful pretty gorgeous |
strange odd weird unusual peculiar | silent quiet quietly silence | loud noisy noise | empty vacant |
full crowded packed | wet damp soaked | dirty muddy filthy | slow slowly | important crucial essential |
difficult hard challenging tough | easy simple | help assist aid | rescue save |
show demonstrate present | teach instruct train | try attempt | hide conceal | search seek |
look watch observe gaze stare | choose select pick | allow permit let | forbid ban prohibit | warn alert |
advise recommend suggest advice | agree consent | refuse decline reject | argue quarrel dispute bicker |
fight brawl battle | attack assault | steal rob robbery theft thief burglar burglary | chase pursue |
flee escape | arrest detain | kill murder | injure hurt wound injury | crash collide collision |
explode explosion blast | build construct assemble construction | destroy demolish ruin wreck |
throw hurl fling chuck | push shove | pull drag tug tow | lift raise hoist | pour tip |
mix stir blend combine | fry saute | bake oven | boil simmer | taste sample | decorate adorn ornament |
paint painter | sew stitch | dig shovel | plant sow | harvest gather reap | pet stroke caress |
hug embrace cuddle | greet welcome | clap applaud applause | dance dancer | sing singer |
perform performance | rehearse practice practise | celebrate party | marry wedding bride groom marriage |
propose engagement | win victory triumph | lose defeat | travel journey trip | arrive reach |
return back | drive driver | sleep nap doze asleep | wake awake | exercise workout | swim swimmer |
climb scale | fish fisherman angler | camp tent camping | hike trek | buy shop customer | cost price |
money cash banknotes | job occupation profession | boss manager employer | employee worker staff |
customer client | student pupil | friend buddy pal | enemy foe | boy lad son | girl lass daughter |
wife husband spouse | brother sibling | grandmother granny grandma | grandfather grandpa |
crowd audience spectators | soldier troops | thief burglar | waiter waitress server | lawyer attorney |
actor actress | scientist researcher | hairdresser barber | journalist reporter |
photographer photograph | car vehicle | truck lorry | train railway | boat ship | bicycle cyclist |
subway metro underground | road pavement highway path | hospital clinic | church cathedral |
school classroom | restaurant diner cafe | beach shore seaside | mountain peak | river stream |
lake pond | garden yard backyard | bathroom restroom toilet | basement cellar | balcony terrace |
stairs staircase | window pane | curtain drapes | lamp light | shelf shelves | box container carton |
knife blade | shirt blouse | sweater jumper pullover | shoes boots | computer laptop | book novel |
newspaper paper | medicine drug pill | food meal | dinner supper | bread loaf | soup broth |
vegetable veggie | biscuit cookie | sweets candy | chips fries | storm thunderstorm | flood flooded |
earthquake quake | fog mist | ice frozen icy | hot warm heat | cold chilly cool colder freezing |
midday noon | dawn sunrise | dusk sunset | night nighttime | purpose aim goal intention | reason cause |
result outcome consequence effect | main primary principal | narrator voiceover |
advertisement commercial advert ad | cartoon animation animated | song melody tune | guitar guitarist |
piano pianist | violin violinist | drum drummer | library librarian | surprise unexpected |
secret secretly | accident accidentally | deliberate intentional purposely | parcel package |
rug carpet mat | hoover vacuum | tap faucet | postpone delay | stays remain unchanged constant stable |
disappear vanish | appear emerge | merge join | separate split divide | crawl creep | whisper murmur |
bald hairless | blond blonde | suit tuxedo | photo snapshot | inspect examine | pollution contamination |
environment environmental | wealth fortune | famous celebrity | poem poetry | pillow cushion |
pan skillet | cab taxi | insect bug | ape monkey | bunny rabbit | pony horse | hen chicken | lamb sheep |
calf cow | puzzle jigsaw | police officer policeman | protest demonstrate demonstration rally |
law legislation | match game | volume amount quantity | return restore | ignore disregard overlook |
love adore like | hate dislike detest | funny joke joking | fail failure | succeed success successful |
disappointed disappointment | grateful thankful thank | jealous envious | embarrassed ashamed |
brave courageous | lazy idle | clever smart intelligent | stupid foolish | famous renowned |
modern contemporary | ancient antique | begin commence | continue proceed | reveal disclose |
praise compliment | criticise criticize criticism | blame accuse | promise vow | remember recall |
discover discovery | explain explanation | describe description | compare comparison |
discuss discussion debate | improve improvement enhance | worsen deteriorate | expand widen enlarge |
attach fasten fix | inspect check | weigh weight
"""
"""Words that mean the same, or so nearly that no option is told from another by them."""
