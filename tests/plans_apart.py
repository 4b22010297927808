"""Plans of tasks that use nothing of each other, most of them with words in common."""

from __future__ import annotations

from tests.plans_in_order import plans

APART = plans("""
Write the API docs for our payments service
Review the API docs of the competitor

Implement user authentication
Fix memory leak in cache
Optimize database queries
Write integration tests

Design microservices architecture
Evaluate database technology options
Create disaster recovery strategy

Review for security vulnerabilities
Review for performance issues
Review for code quality
Review for test coverage

Write the user guide for the mobile app
Review the user guide of the web app
Translate the admin guide into French

Draft the job advert for the nurse
Review the contract of the new cook
Write the rota for week 12

Summarise the 2023 annual report of Acme
Summarise the 2023 annual report of Norvik
Write a report on water quality in the Elbe

Translate the homepage into German
Translate the homepage into French
Proofread the Spanish homepage

Draft an NDA for the pilot with Castor
Review the NDA we got from Pollux
List the NDAs that expire this year

Restart the ingest workers
Update the firewall rules for the office
Upgrade Grafana to the latest release

Refactor the billing module
Add logging to the billing module
Document the public functions of the billing module

Find unused CSS classes
Find dead links in the docs
Find images without alt text

Research battery recycling in Norway
Research battery recycling in Chile
Write a one-page profile of our recycling supplier

Reconcile the March bank statement
Chase the overdue invoices of Larkfield
Prepare the VAT return for Q1

Add an index to the orders table
Write a migration for the users table
Review slow queries on the events table

Write an article about remote work
Edit the article about pension reform that came in yesterday
Fact-check the obituary of Prof. Okafor

Deploy the search service to staging
Build the Docker image for the mailer
Run the end-to-end tests of the checkout

Collect the warranty terms of Bosch
Collect the warranty terms of Makita
Write our own warranty terms for the resale kit

Plan the office move to Leith
Write the invitation for the summer party
Order new chairs for reception

Compare the three CRM offers in quotes/
Draft a CRM migration checklist for the interns
List the CRM users without a licence

Read docs/spec.md and implement the parser
Read docs/spec.md and write the encoder
Check docs/spec.md for contradictions

Write product descriptions for the lamps
Photograph the chairs
Update prices of the rugs

Do something with auth
Fix the payment thing
Check users
Whatever needs doing

Draft the privacy notice for the app
Check the cookie banner of the website
Answer the access request of Ms Patel

List the deliveries that were late in May
Write the delivery terms for the new web shop
Plan the routes for Tuesday

Implement email templates
Implement send logic
Implement queue system

Write a news item about the new park
Write a news item about the bridge closure
Select a photo for the front page

Evaluate Kafka for event streaming
Write a proposal for a data lake
Review the proposal by Accenture

Implement the CSV export of invoices
Implement the PDF export of delivery notes
Write the help page for the import wizard

Create a logo for the podcast
Edit last week's podcast episode
Write show notes for the live episode in May

Analyse the tender documents of the city of Bath
Write our sustainability statement
Update the reference list of school projects

Train the junior staff on GDPR
Evaluate the e-learning platform of Lumina
Prepare the first-aid course

Summarise chapter 2 of the thesis
Proofread chapter 5 of the thesis
Format the bibliography

Compare the offers of the three cleaning companies
Write the cleaning plan for the canteen
Order soap and towels

Research grants for heat pumps in Bavaria
Write the grant application for the school roof
Review the grant report of the kindergarten

Record a demo video of the dashboard
Write a tutorial for the API
Answer the questions in the forum about SSO

Predict next month's call volume
Clean the call recordings older than two years
Write the script for the cancellation hotline

Find all usages of the deprecated logger
Find all functions without docstrings
Find all tests that sleep

Interview the night shift about breaks
Evaluate last year's staff survey
Write the holiday rota

Explain the new VAT rule to the shop managers
Calculate the VAT for invoice 2231
File the VAT return for Q2 from ledger/q2.csv

Write a short story about a lighthouse
Write a poem about autumn
Edit the essay on Kafka in essays/kafka.md

Draft the purchase contract for the van
Check the rental contract for the copier
Sign off the maintenance contract of the lift

Fit the growth model to the 2022 field data
Digitise the 1998 field notebooks
Plot the rainfall of the last decade

Develop the sorting algorithm for the parcel hub
Analyse the parcel volumes at Easter
Design the label printer mount

Write the pitch for investors in Norway
Review the pitch that Castellan sent us

Draft clause 14 on data transfers
Check clause 9 for the notice period

Design the badge for the conference
Print the programme of the conference

Implement the retry queue for webhooks
Review the retry policy of the mobile client

Calculate emissions for 2024
Write the diversity chapter of the sustainability report

Build the docker image of the importer
Scan the docker image of the exporter for CVEs

Extract tables from the 2022 annual report
Write the chairman's letter for the 2024 annual report

Fix the rounding error in the VAT module
Write tests for the discount module

Summarise the expert opinion of Dr Haddad
Compare the opinions of Dr Silva and Dr Patel

Create the Grafana dashboard for the mailer
Document the dashboards of the billing team

Design the schema for vouchers
Migrate the schema of the orders database to Postgres 16

Draft the lease for unit 4
Sign the lease for unit 7 once the lawyer has called

Write the abstract of the malaria paper
Submit the revised cholera paper to the journal

Make a list of broken street lamps in the north
Repair the benches listed in parks/benches.csv

Compute churn for the basic tariff
Chart churn of the premium tariff from out/premium.csv

Draft the statement for the press about the recall
Get the travel expenses approved by the CEO

Tag all photos from the shoot
Upload the price list to the asset library

Collect invoices from 2022
Sample the delivery notes of 2023

Record a walkthrough of the admin panel
Cut the trailer of the summer school to 30 seconds

Compile the bibliography on coastal erosion
Check the bibliography of the river chapter

Measure noise along the runway
Measure dust along the quarry road

Summarise the oral evidence of the experts
Summarise the written submissions of the council

Write a synopsis of the memoir
Pitch the cookbook to agents with chapters/1.docx

Analyse where new customers drop out
Propose a name for the loyalty card

Translate the safety data sheets
Have a chemist check the lab protocol of Monday

Reproduce the memory leak of the tile server
Fix the login redirect of the portal

Write the ADR on gRPC
Review the ADR on logging that team Vela wrote

Pick slogans for the spring campaign
Mock up the packaging of the oat bar
""")
"""Side by side and rightly so."""

ROWS = plans("""
Summarise the 2021 annual report of Norvik
Summarise the 2022 annual report of Tanaka
Summarise the 2023 annual report of Oakfield

Write unit tests for the auth module
Write unit tests for the billing module
Write unit tests for the search module
Write unit tests for the mailer

Translate the homepage into German
Translate the homepage into French
Translate the homepage into Italian

Fix the crash when rotating the invoice screen
Add dark mode to the settings page
Document the webhook retry policy

Review the lease for the Leeds office
Review the employment contract of the new CFO
Draft an NDA for the Castor pilot

Research solar subsidies in Spain
Research solar subsidies in Portugal
Research solar subsidies in Italy

Analyse customer churn in Germany
Analyse customer churn in France
Analyse customer churn in Spain

Answer the complaint of Mrs Green about the late parcel
Answer the question of Mr Patel about warranty
Answer the refund request of Ms Haddad

Write a blog post about remote onboarding
Design a banner for the summer sale
Plan the webinar on tax law

Extract the tables from reports/a.pdf
Extract the tables from reports/b.pdf
Extract the tables from reports/c.pdf

Check the footnotes of chapter on trade for dead links
Check the photo credits in the gallery section
Check the index for missing names

Profile the orders table for nulls
Profile the payments table for nulls
Profile the refunds table for nulls

Interview the head of logistics about delays
Interview the head of purchasing about prices
Interview the head of sales about discounts

Audit auth-service for injection flaws
Audit payment-service for injection flaws
Audit user-service for injection flaws

Count the stock in the Leeds warehouse
Write the safety notice for the York depot
Compare forklift rental offers

Analyze the auth service for slow queries
Analyze the billing service for slow queries
Analyze the search service for slow queries

Draft the job ad for the warehouse clerk
Draft the job ad for the forklift driver
Draft the job ad for the dispatcher

Write the tutorial on importing data
Write the tutorial on dashboards
Write the tutorial on alerts
Write the tutorial on user roles

Check the German subtitles for typos
Check the French subtitles for typos
Check the Polish subtitles for typos

Port the date helpers to TypeScript
Port the money helpers to TypeScript
Port the string helpers to TypeScript

Find the cheapest flights to Oslo for the sales team
Collect quotes for new office chairs
Compare phone contracts for 12 employees

Summarise the GDPR guidance on cookies
List the clauses in the DPA template that mention sub-processors
Draft an answer to Ms Okafor's access request

Classify the open tickets of the printer queue
Write a macro for password resets
Translate the returns policy into Dutch

Plot rainfall for station ABR
Plot rainfall for station BEN
Plot rainfall for station CAI

Refactor src/cart/totals.ts to use Decimal
Write a README for packages/eslint-config
Remove the feature flag new-nav from apps/web

Review the tenancy agreement for Flat 2 for unfair terms
Review the tenancy agreement for Flat 5 for unfair terms
Review the tenancy agreement for Flat 9 for unfair terms

Explain how the ingest queue handles retries, one page
Count the TODO comments per folder
Document the environment variables of the mailer

Read the Q1 board minutes and list decisions
Read the Q2 board minutes and list decisions
Read the Q3 board minutes and list decisions

Clean the customer addresses in crm.csv
Deduplicate the supplier list in vendors.csv
Fix the encoding of products.csv

Transcribe the interview with the mayor
Transcribe the interview with the fire chief
Transcribe the interview with the head teacher

What do Gartner reports say about our CRM vendor?
Which conferences on logistics take place in May?
How do competitors price express delivery?

Calculate the payback of heat pumps for the Leeds plant
Calculate the payback of LED lighting for the York plant
Calculate the payback of solar panels for the Hull plant

Create the onboarding checklist for nurses
Update the fire safety poster in the canteen
Prepare the rota for the Christmas week

Generate thumbnails for the lamps catalogue
Rewrite the meta descriptions of the category pages
Add alt text to the images of the blog

Write unit tests for Money.add
Write unit tests for DateRange.overlaps
Write unit tests for Slug.parse

Evaluate the bids for roof repair
Write the circular about bin collection
Tabulate the service charges of 2024
""")
"""Needless chains, where each task waits for the one before."""
